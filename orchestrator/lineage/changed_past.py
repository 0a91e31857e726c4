"""Warnings when a run over files trains again what was learned: files changed, moved, or brought new classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.plan import PlannedCommit
    from pipelines.data.streams import Stream


def changed_past(lineage: Lineage, plan: Sequence[PlannedCommit], stream: Stream) -> list[str]:
    """What makes a run over files train again what the commits of `latest` have learned; empty where nothing does.

    Only streams with one file per experience are looked at: in others a person chooses the order.

    Args:
        plan: the commits that the run makes or reuses.
    """
    if stream.source(0) is None:
        return []
    try:
        latest = lineage.ref("latest")
        learned = lineage.chain(latest.commit) if latest else []
    except StorageError:
        # What is wrong with the old lineage is fsck's to say; this run does not need it.
        return []
    return changes(learned, plan, [stream.source(index) or "" for index in range(len(stream))])


def changes(learned: Sequence[Commit], plan: Sequence[PlannedCommit], files: Sequence[str]) -> list[str]:
    """The same from the commits that were learned, those that are planned, and the file of each experience."""
    for index, (commit, planned) in enumerate(zip(learned, plan, strict=False)):
        if commit.experience.fingerprint == planned.fingerprint:
            continue
        return [
            f"experience {index} and all later ones are trained again, since {files[index]} is not what was learned as "
            f"experience {index}. Files are taken in natural order (batch2 before batch10), and new ones must "
            "sort behind those that were learned"
        ]
    if learned and learned[0].id != plan[0].id:
        before, now = (one.spec.get("outputs") for one in (learned[0], plan[0]))
        if before != now:
            return [
                f"all experiences are trained again: with the files that are there now the model's head has {now} "
                f"units, where it had {before}. Say how many classes there may ever be: dataset.classes"
            ]
    return []
