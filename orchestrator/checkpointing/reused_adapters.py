"""Adapters of stored commits are used again where the same data would train them.

Where each experience's part of the model depends on no other experience (`Strategy.independent_parts`), the commit of
any chain that learned the same data in the same place under the same settings has the part that training would give.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.checkpointing.evaluation_record import ANSWERS
from orchestrator.checkpointing.model_description import DESCRIPTION
from orchestrator.checkpointing.restore import fitting
from orchestrator.errors import CorruptCommit
from orchestrator.lineage.canonical_json import digest
from orchestrator.storage.tensors import encode
from strategies.networks.frozen_parts import MODEL

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.plan import PlannedCommit
    from strategies.loop.learner import Learner
    from strategies.loop.process_group import Group

REUSED = "reuse"
"""In a commit's timings, in the place of `learn`."""
_BASE, _OPTIMIZER = f"{MODEL}.base", "optimizer"


def reusable(lineage: Lineage, plan: Sequence[PlannedCommit], group: Group, start: int) -> dict[int, str]:
    """For each place of a plan from `start` on, a stored commit that learned there the same training data.

    Returns:
        Ids by place, the same on every rank; places without one are left out.
    """
    found: dict[int, str] = {}
    if group.rank == 0:
        wanted = {_key(i, p.fingerprint, p.spec): i for i, p in enumerate(plan) if i >= start}
        for id_ in lineage.commits():
            try:
                commit = lineage.read(id_)
            except CorruptCommit:
                continue
            one = commit.experience
            place = wanted.get(_key(one.index, one.fingerprint, commit.spec))
            if place is not None and not commit.thinned and _is_whole(commit, place):
                found.setdefault(place, id_)
    return {int(k): v for k, v in json.loads(group.broadcast(json.dumps(found).encode())).items()}


def _key(index: int, fingerprint: str, spec: object) -> str:
    """What decides an independent part; the test data, behind the colon of the fingerprint, do not."""
    return digest({"index": index, "data": fingerprint.partition(":")[0], "spec": spec})


def _is_whole(commit: Commit, place: int) -> bool:
    """Whether its state is the model, the optimiser and nothing else: a strategy's or an objective's may say more."""
    own = commit.blobs.keys() - {ANSWERS, DESCRIPTION, _OPTIMIZER}
    return own == {MODEL, _BASE, *(_part(i) for i in range(place + 1))}


def _part(place: int) -> str:
    return f"{MODEL}.adapter.{place}"


def reuse(learner: Learner, lineage: Lineage, commit: Commit, place: int, *, optimizer: str) -> bool:
    """Give a learner what a commit learned in its place, as if it had learned it.

    Args:
        place: how many parts the learner's model has so far.
        optimizer: name of the optimiser that made it.

    Returns:
        Whether it did: not, where the commit's frozen model is another one.

    Raises:
        CorruptBlob, StorageError: as `load_commit`.
    """
    groups = [MODEL, _BASE, _part(0)] if place == 0 else [_part(place)]
    state: dict[str, dict[str, Tensor]] = {} if place == 0 else learner.state_dict()
    if any(_sha256(state.get(group, {})) != commit.blobs[group].sha256 for group in (MODEL, _BASE) if place):
        return False
    state.pop(_OPTIMIZER, None)
    for group in (*groups, _OPTIMIZER) if _OPTIMIZER in commit.blobs else groups:
        state[group] = lineage.tensors(commit.blobs[group].sha256, commit=commit.id)
    with fitting(f"commit {commit.id[:12]}"):
        learner.load_state_dict(state, optimizer=optimizer)
    return True


def _sha256(tensors: dict[str, Tensor]) -> str:
    return hashlib.sha256(encode({name: tensor.detach().cpu() for name, tensor in tensors.items()})).hexdigest()
