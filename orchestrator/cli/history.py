"""A pipeline's lineage as the store holds it: its commits, its refs, its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage

Metrics = dict[str, float | None]


@dataclass(frozen=True)
class History:
    """The commits that one ref leads to.

    Attributes:
        chain: oldest first; empty if nothing was trained yet.
        metrics: for each commit of the chain, the stream's metrics after it.
        refs: names by commit id, of all refs of the pipeline.
    """

    chain: list[Commit]
    metrics: list[Metrics]
    refs: dict[str, list[str]]


def read_history(lineage: Lineage, head: str | None = None) -> History:
    """Read the chain that ends in the commit `head`, by default in what the ref `latest` names.

    Raises:
        StorageError: the store cannot be read, or a commit in it is damaged.
    """
    named = lineage.refs()
    if head is None and "latest" in named:
        head = named["latest"].commit
    refs: dict[str, list[str]] = {}
    for name, ref in named.items():
        refs.setdefault(ref.commit, []).append(name)
    chain = lineage.chain(head) if head is not None else []
    return History(chain, chain_metrics(chain), refs)


def chain_metrics(chain: list[Commit]) -> list[Metrics]:
    """The stream's metrics after each commit of a chain."""
    if not chain:
        return []

    from orchestrator.lineage.matrix import accuracy_matrix
    from strategies.metrics import as_matrix, summary

    rows, baseline = accuracy_matrix(chain)
    matrix, untrained = as_matrix(rows), as_matrix([baseline])[0]
    return [summary(matrix, untrained, k) for k in range(len(chain))]
