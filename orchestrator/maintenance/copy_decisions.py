"""Copying the decisions of a pipeline: records that the destination lacks, after those that both have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import CorruptCommit
from orchestrator.lineage import layout
from orchestrator.lineage.decisions import index_of, newest_first, settle
from orchestrator.lineage.fencing import create

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage


def copy_decisions(source: Lineage, target: Lineage) -> tuple[int, list[str]]:
    """Copy them, and let the refs of the destination follow; says how many were copied, and what could not be.

    A destination that decided something else keeps its own history, as does one that is ahead.

    Args:
        target: under the claim of the copy.
    """
    try:
        ours = list(newest_first(source))[::-1]
    except CorruptCommit as error:
        return 0, [str(error).splitlines()[0]]
    try:
        theirs = list(newest_first(target))[::-1]
    except CorruptCommit as error:
        return 0, [str(error).splitlines()[0]]
    shared = min(len(ours), len(theirs))
    if [decision.checksum for decision in ours[:shared]] != [decision.checksum for decision in theirs[:shared]]:
        return 0, ["decisions were not copied: the destination has others under the same numbers"]
    for decision in ours[shared:]:
        key = layout.decision_key(target.pipeline, decision.number)
        create(target.store, target.fence, key, decision.to_json())
    if ours[shared:]:
        target.store.put(layout.decision_index_key(target.pipeline), index_of(ours).to_json())
    settle(target)
    return len(ours) - shared, []
