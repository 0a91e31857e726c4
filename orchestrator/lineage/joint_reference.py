"""What joint training reaches: the commits of `cumulative` under the same data, model, training and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StorageError
from orchestrator.lineage.accuracy_matrix import chain_scores
from orchestrator.lineage.commit import commit_id
from orchestrator.lineage.layout import is_pipeline
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.measurements import ACCURACY

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit

REFERENCE = "cumulative"


def reference_ids(chain: Sequence[Commit], known: Sequence[str] = (), strategy: str = REFERENCE) -> list[str]:
    """The ids that the commits of a chain would have, had their strategy been another one alone, without options.

    They are those that `orchestrator.lineage.plan.make_plan` gives the pipeline with its strategy replaced.

    Args:
        known: the first of them, as far as they were asked for before.
        strategy: its name; by default that of joint training, `cumulative`.
    """
    ids = list(known)
    for index in range(len(ids), len(chain)):
        commit = chain[index]
        spec: dict[str, Any] = {**commit.spec, "strategy": [{"name": strategy}]}
        parent = ids[-1] if ids else None
        ids.append(commit_id(parent=parent, fingerprint=commit.experience.fingerprint, spec=spec))
    return ids


class Reference:
    """Finds joint training's score on each experience when it is new, a*, wherever a store has it.

    It is looked for in the chain's own pipeline first, then in the others of the store: ids do not depend on names.
    """

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._found: Lineage | None = None
        # Of the chain that was asked about last: its ids, those of joint training, and its scores so far.
        self._chain: list[str] = []
        self._ids: list[str] = []
        self._known: list[float | None] = []
        self._score = ACCURACY

    def __call__(self, chain: Sequence[Commit]) -> list[float | None]:
        """a* for each commit of a chain, None where joint training has no commit. Never fails: a store that cannot be
        read has none."""
        try:
            return self._accuracies(chain)
        except StorageError:
            return [None] * len(chain)

    def _accuracies(self, chain: Sequence[Commit]) -> list[float | None]:
        self._follow(chain)
        where = self._where(self._ids[0]) if self._ids else None
        own = self._ids == self._chain
        while where is not None and len(self._known) < len(chain):
            # A chain of `cumulative` is its own reference.
            k = len(self._known)
            commit = chain[k] if own else where.read_if_there(self._ids[k])
            if commit is None:
                break
            self._known.append(next((c.value(self._score) for c in commit.row if c.test == _test(commit)), None))
        return [*self._known[: len(chain)], *[None] * (len(chain) - len(self._known))]

    def _follow(self, chain: Sequence[Commit]) -> None:
        """Keep what is known of a chain that has grown; an id determines all commits before it."""
        known, score = len(self._chain), chain_scores(chain)[0].name
        if score != self._score:
            self._score, self._known = score, []
        if known > len(chain) or (known and chain[known - 1].id != self._chain[-1]):
            known = 0
            self._ids, self._known = [], []
        self._chain = [*self._chain[:known], *(commit.id for commit in chain[known:])]
        self._ids = reference_ids(chain, self._ids)

    def _where(self, first: str) -> Lineage | None:
        """The lineage that has joint training's first commit."""
        if self._found is None:
            if self._lineage.exists(first):
                self._found = self._lineage
            else:
                others = (n for n in self._lineage.store.folders() if n != self._lineage.pipeline and is_pipeline(n))
                lineages = (Lineage(self._lineage.store, name) for name in others)
                self._found = next((lineage for lineage in lineages if lineage.exists(first)), None)
        return self._found


def _test(commit: Commit) -> str:
    """Fingerprint of the test set of the commit's own experience."""
    return next((count.test for count in commit.row if count.experience == commit.experience.index), "")
