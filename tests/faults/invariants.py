"""What has to hold of a lineage at any moment, whatever was killed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

from orchestrator.errors import OrchestratorError
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.fencing import is_note
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import PlannedCommit
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream
from strategies.memory.reservoir import Memory, Shard


def violations(lineage: Lineage, *, verified: set[str] | None = None) -> list[str]:
    """What is wrong with a pipeline's lineage: a visible commit that is not complete, a broken chain, a bad ref.

    Args:
        verified: SHA-256 of blobs that need no second look; those that are found good are added.
    """
    verified = set() if verified is None else verified
    found: list[str] = []
    ids = list(lineage.commits())
    commits: dict[str, Commit] = {}
    for id_ in ids:
        try:
            commits[id_] = lineage.read(id_)
        except OrchestratorError as error:
            found.append(f"commit {id_[:12]} is visible and cannot be read: {error}")
    for id_, commit in commits.items():
        if commit.parent is not None and commit.parent not in commits:
            found.append(f"commit {id_[:12]} is visible, its parent {commit.parent[:12]} is not")
        for sha256, size in commit.referenced().items():
            if sha256 in verified:
                continue
            try:
                if len(lineage.blob(sha256)) != size:
                    found.append(f"blob {sha256[:12]} of commit {id_[:12]} has another size than the commit says")
                lineage.tensors(sha256)
                verified.add(sha256)
            except OrchestratorError as error:
                found.append(f"commit {id_[:12]} is visible and not whole: {error}")
    try:
        found += [
            f"ref {name} stands for {ref.commit[:12]}, which is not there"
            for name, ref in lineage.refs().items()
            if ref.commit not in commits
        ]
    except OrchestratorError as error:
        found.append(f"a ref cannot be read: {error}")
    for key in lineage.store.list(f"{lineage.pipeline}/blobs/"):
        name = key.rpartition("/")[2]
        if name in verified or is_note(data := lineage.store.get(key)):
            continue  # readers take a note for an absent object
        if hashlib.sha256(data).hexdigest() != name:
            found.append(f"{key} is visible with other content than its name says")
    return found


def memory_violations(
    lineage: Lineage, commit: Commit, pipeline: Pipeline, stream: Stream, name: str, capacity: int
) -> list[str]:
    """Whether a uniform memory holds exactly what it would if all experiences up to a commit were seen at once."""
    stored = Memory(capacity, "uniform", pipeline.seed)
    stored.restore(Shard(s.experience, lineage.tensors(s.sha256), s.lengths) for s in commit.memories[name].shards)
    fresh = Memory(capacity, "uniform", pipeline.seed)
    for index in range(commit.experience.index + 1):
        samples = stream[index].train
        inputs, targets = samples.take(torch.arange(len(samples)))
        fresh.add(index, {"ids": samples.ids, "targets": targets, "inputs": inputs})
    same = stored.tensors.keys() == fresh.tensors.keys() and all(
        torch.equal(stored.tensors[key], fresh.tensors[key]) for key in fresh.tensors
    )
    return [] if same else [f"memory {name} of commit {commit.id[:12]} is not what the samples so far give"]


def content(lineage: Lineage, plan: Sequence[PlannedCommit]) -> list[dict[str, Any]]:
    """All of a chain that must not depend on what happened on the way: bits of the state, memory, matrix, curve."""
    return [
        {
            "id": commit.id,
            "blobs": commit.blobs,
            "memories": commit.memories,
            "row": commit.row,
            "previous": commit.previous,
            "baseline": commit.baseline,
            "steps": commit.steps,
            "losses": [(step, loss) for step, loss, _ in commit.losses],
        }
        for commit in (lineage.read(planned.id) for planned in plan)
    ]
