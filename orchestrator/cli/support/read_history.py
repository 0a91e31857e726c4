"""The lineage of a pipeline in the store: its commits, refs and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.lineage.chain_metrics import Metrics, chain_metrics
from orchestrator.lineage.decisions import PROPOSED, decision_state
from orchestrator.lineage.joint_reference import Reference

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage


@dataclass(frozen=True)
class History:
    """A commit and its ancestors.

    Attributes:
        chain: the commits, oldest first; empty if nothing is trained.
        metrics: for each commit of the chain, the metrics of the stream after it.
        refs: the names of all refs of the pipeline, by commit id; `proposed` only where a commit waits for a person.
        bad: ids of the commits that were rolled back.
    """

    chain: list[Commit]
    metrics: list[Metrics]
    refs: dict[str, list[str]]
    bad: frozenset[str] = frozenset()


def read_history(lineage: Lineage, head: str | None = None) -> History:
    """Read the chain that ends in the commit `head`; by default in the commit that the ref `latest` names.

    Raises:
        StorageError: the store cannot be read, or a commit in it is damaged.
    """
    named = lineage.refs()
    if head is None and "latest" in named:
        head = named["latest"].commit
    refs: dict[str, list[str]] = {}
    state = decision_state(lineage)
    for name, ref in named.items():
        if name == PROPOSED and state.champion is not None and ref.commit != state.proposed:
            continue  # it stands for the champion while nothing is proposed
        refs.setdefault(ref.commit, []).append(name)
    chain = lineage.chain(head) if head is not None else []
    return History(chain, chain_metrics(chain, reference=Reference(lineage)(chain)), refs, frozenset(state.bad))
