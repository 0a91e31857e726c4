"""What joint training reaches: the commits of `cumulative` under the same data, model, training and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StorageError
from orchestrator.lineage.commit import commit_id
from orchestrator.lineage.layout import is_pipeline
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.matrix import accuracy_matrix

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit

REFERENCE = "cumulative"


def reference_ids(chain: Sequence[Commit]) -> list[str]:
    """The ids that the commits of a chain would have, had their strategy been `cumulative` alone.

    They are those that `orchestrator.plan.make_plan` gives the pipeline with its strategy replaced.
    """
    from orchestrator.assembly import strategy_class
    from orchestrator.plan import strategy_influence

    options = strategy_class(REFERENCE).Options()
    ids: list[str] = []
    parent: str | None = None
    for index, commit in enumerate(chain):
        spec: dict[str, Any] = {**commit.spec, "strategy": [strategy_influence(REFERENCE, options, index)]}
        parent = commit_id(parent=parent, fingerprint=commit.experience.fingerprint, spec=spec)
        ids.append(parent)
    return ids


class Reference:
    """Finds joint training's accuracy on each experience when it is new, a*, wherever a store has it.

    It is looked for in the chain's own pipeline first, then in the others of the store: ids do not depend on names.
    """

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._found: Lineage | None = None

    def __call__(self, chain: Sequence[Commit]) -> list[float | None]:
        """a* for each commit of a chain, None where joint training has no commit. Never fails: a store that cannot be
        read has none."""
        try:
            return self._accuracies(chain)
        except StorageError:
            return [None] * len(chain)

    def _accuracies(self, chain: Sequence[Commit]) -> list[float | None]:
        nothing: list[float | None] = [None] * len(chain)
        ids = reference_ids(chain)
        where = self._where(ids[0]) if ids else None
        if where is None:
            return nothing
        # A chain of `cumulative` is its own reference.
        known = {commit.id: commit for commit in chain}
        joint = [known[id_] for id_ in ids] if set(ids) <= set(known) else where.leading(ids)
        rows, _ = accuracy_matrix(joint, [_test(commit) for commit in joint])
        return [rows[k][k] if k < len(joint) else None for k in range(len(chain))]

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
