"""Warnings when a run over files trains again what was learned: files changed, moved, or brought new classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import StorageError
from pipelines.data.blocks.blockwise import Blockwise
from pipelines.data.experience_names import experience_names

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
        if latest is not None and latest.commit in {planned.id for planned in plan}:
            return []  # its id stands for all before it
        learned = lineage.chain(latest.commit) if latest else []
    except StorageError:
        # `everlearn fsck` reports damage of the old lineage; this run does not need it.
        return []
    files = [stream.source(index) or "" for index in range(len(stream))]
    names = None
    if len(files) > 1 and len(set(files)) == 1:
        names = [name or f"experience {index}" for index, name in enumerate(experience_names(stream))]
    return changes(learned, plan, files, names, blocks=isinstance(stream[0].train, Blockwise) if learned else False)


def changes(
    learned: Sequence[Commit],
    plan: Sequence[PlannedCommit],
    files: Sequence[str],
    names: Sequence[str] | None = None,
    *,
    blocks: bool = False,
) -> list[str]:
    """The same from the commits that were learned, those that are planned, and the file of each experience.

    Args:
        names: of experiences that are rows of one file; None: each has a file of its own.
        blocks: whether the file is read by blocks.
    """
    for index, (commit, planned) in enumerate(zip(learned, plan, strict=False)):
        if commit.experience.fingerprint == planned.fingerprint:
            continue
        again = f"experience {index} and all later ones are trained again"
        if names is not None:
            # What was learned is there, behind an experience that was not.
            new = any(commit.experience.fingerprint == later.fingerprint for later in plan[index + 1 :])
            return [f"{again}: {_changed_rows(names[index], files[index], new=new, blocks=blocks)}"]
        return [
            f"{again}, since {files[index]} is not what was learned as "
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


def _changed_rows(name: str, file: str, *, new: bool, blocks: bool) -> str:
    """Why the rows of one file that are an experience are not those that were learned, and what to do."""
    if new:
        return f"{name} is new in {file}, and comes before what was learned. Append only rows of later experiences"
    text = (
        f"rows of {name} in {file} were added, changed or removed since they were learned. Append only rows of later "
        "experiences, behind all others"
    )
    if blocks and file.lower().endswith(".parquet"):
        return f"{text}, and in lanes as further row groups, which leave the old ones as they are"
    if blocks:
        return f"{text}. In lanes it is the index beside the lineage (blocks.json) that knows which rows were there"
    return text
