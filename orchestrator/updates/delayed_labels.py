"""Labels that come later than their inputs: which files of them count, what they are joined to, and when it is enough.

Pure functions of the admission log, of what was read, and of the time. A file of inputs waits until every row has a
label, or until `mature` is over since it was written. Files of labels are joined by id, the newest last. Both are kept
in the store as they were admitted, so that later changes in their folders have no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.updates.admission_entries import AdmittedExperience, FileRecord, Kind, LateLabels, Member, Verdict
from pipelines.config.pipeline_errors import DataError
from pipelines.config.sections.source_section import SourceSpec, seconds_of
from pipelines.data.datasets.arriving_labels import LABEL_SUFFIXES
from pipelines.data.datasets.labels import label_map

if TYPE_CHECKING:
    from orchestrator.updates.admission_record import State
    from orchestrator.updates.file_verdict import Found, Look

LABELS = "_labels/"
"""Before the keys of files of labels; names of inputs never begin so."""
_ACTIONS: dict[str, Verdict] = {"admit": "joined", "skip": "skipped", "quarantine": "quarantined"}
_AHEAD = 2
"""Labels are joined for so many times `mature` after they were written: they may come as long before their rows."""

Numbers = NDArray[np.int64]
Pairs = tuple[Numbers, Numbers]
"""Ids, and the class number of each."""


class Joins(Protocol):
    """What was read of files when they were admitted."""

    def ids(self, file: FileRecord) -> Numbers:
        """The ids of the rows of a file of inputs."""
        ...

    def labels(self, file: FileRecord) -> Pairs:
        """What a file of labels says."""
        ...

    def learned(self, experience: AdmittedExperience) -> Pairs:
        """The labels of an experience; -1: the row has none."""
        ...


def is_label_file(key: str) -> bool:
    """Whether a key is that of a file of labels."""
    name = key.removeprefix(LABELS)
    return key != name and key.endswith(LABEL_SUFFIXES) and not any(part[:1] in "._" for part in name.split("/"))


def newest_labels(joins: Joins, files: Iterable[FileRecord]) -> dict[int, int]:
    """The class number of each id: that of the last file that has it."""
    table: dict[int, int] = {}
    for file in files:
        ids, numbers = joins.labels(file)
        table.update(zip(ids.tolist(), numbers.tolist(), strict=True))
    return table


def is_over(file: FileRecord, source: SourceSpec, now: float) -> bool:
    """Whether labels of a file of inputs are waited for no longer."""
    assert source.mature is not None
    return file.since is None or file.since + seconds_of(source.mature) <= now


def closed(
    state: State, joined: Sequence[FileRecord], waiting: Iterable[FileRecord], source: SourceSpec, now: float
) -> tuple[Member, ...]:
    """The files of labels that are joined no more: they are old, and nothing waits that could be theirs.

    Args:
        joined: beside those of the log.
        waiting: the files of inputs that still wait.
    """
    assert source.mature is not None
    mature = seconds_of(source.mature)
    oldest = min((file.since for file in waiting if file.since is not None), default=float("inf"))
    return tuple(
        Member(key=file.key, sha256=file.sha256)
        for file in (*state.open, *joined)
        if file.since is not None and file.since + _AHEAD * mature < now and file.since + mature < oldest
    )


@dataclass
class LabelJudge:
    """Decides on one file of labels after another; what it admits counts for the next.

    Attributes:
        waiting: the files of inputs that wait, those of this decision among them.
        joined: what it has admitted.
    """

    source: SourceSpec
    state: State
    joins: Joins
    waiting: Sequence[FileRecord]
    now: float
    joined: list[FileRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._contents = {file.sha256: file.key for file in self.state.open}

    def missing(self) -> dict[str, int]:
        """How many rows of each file that waits have no label."""
        return {file.key: sum(id_ not in self._table for id_ in self.joins.ids(file).tolist()) for file in self.waiting}

    @cached_property
    def _table(self) -> dict[int, int]:
        return newest_labels(self.joins, (*self.state.open, *self.joined))

    @cached_property
    def _waiting(self) -> set[int]:
        return {id_ for file in self.waiting for id_ in self.joins.ids(file).tolist()}

    @cached_property
    def _learned(self) -> dict[int, tuple[int, int]]:
        """Of each id of the last experiences, the serial number and the class. Older ones are not known any more."""
        assert self.source.mature is not None
        horizon = self.now - (1 + _AHEAD) * seconds_of(self.source.mature)
        found: dict[int, tuple[int, int]] = {}
        for one in self.state.experiences:
            if one.since is not None and one.since >= horizon:
                ids, numbers = self.joins.learned(one)
                pairs = zip(ids.tolist(), numbers.tolist(), strict=True)
                found.update({id_: (one.serial, number) for id_, number in pairs})
        return found

    def __call__(self, found: Found, look: Look) -> FileRecord:
        verdict, kind, reason, more = self._verdict(found, look)
        made = FileRecord(
            key=found.key,
            size=found.size,
            version=found.version,
            sha256=look.sha256,
            rows=None if look.problem is not None else look.rows,
            verdict=verdict,
            kind=kind,
            reason=reason[:1000],
            since=found.modified,
            **more,
        )
        if verdict == "joined":
            self.joined.append(made)
            self._contents[look.sha256] = found.key
            self._table.update(newest_labels(self.joins, [made]))
        return made

    def _verdict(self, found: Found, look: Look) -> tuple[Verdict, Kind, str, dict[str, Any]]:
        entry, on = self.state.files.get(found.key), self.source.on
        asked = entry is not None and entry.verdict == "approved"
        twin = self._contents.get(look.sha256)
        if twin is not None:
            same = twin == found.key
            reason = "written again with the content that was admitted" if same else f"has the content of {twin}"
            return "skipped", "unchanged" if same else "duplicate", reason, {}
        if look.problem is not None:
            return "quarantined", "unreadable", look.problem, {}
        try:
            pairs = class_numbers(self.source, found.key, look)
        except DataError as error:
            return _ACTIONS[on.new_class], "new_class", str(error), {}
        useful, other, late = 0, 0, dict[int, int]()
        unknown = 0
        for id_, number in zip(pairs[0].tolist(), pairs[1].tolist(), strict=True):
            known = self._learned.get(id_)
            if id_ in self._waiting or known is None:
                useful += 1
                unknown += id_ not in self._waiting
                other += self._table.get(id_, number) != number
            elif known[1] != number:
                late[known[0]] = late.get(known[0], 0) + 1
        if other and not asked and on.contradiction != "admit":
            reason = f"gives {other} of its ids another label than the files of labels before it"
            return _ACTIONS[on.contradiction], "contradiction", reason, {}
        if not useful and not late:
            return "skipped", "duplicate", "says what was learned", {}
        count = sum(late.values())
        told = [f"{count} of its labels came too late, and change nothing: see everlearn backfill"] if count else []
        told += [f"{unknown} of its labels are for rows that have not come"] if unknown else []
        told += [f"{other} of its labels replace others"] if other else []
        counted = {
            "unknown": unknown,
            "late": tuple(LateLabels(serial=serial, labels=labels) for serial, labels in sorted(late.items())),
        }
        verdict = "joined" if useful or asked else _ACTIONS[on.late]
        return verdict, "person" if asked else "late" if late else "new", "; ".join(told), counted


def class_numbers(source: SourceSpec, key: str, look: Look) -> Pairs:
    """The ids of a file of labels, and the class number of each.

    Raises:
        DataError: a label is none of the classes.
    """
    assert look.ids is not None and look.labels is not None
    return look.ids, label_map(source.classes, ()).numbers(look.labels, key)
