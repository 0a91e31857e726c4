"""What is decided on one file: whether it is new, late, a duplicate, overwritten, or does not fit, and what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.updates.admission_entries import FileRecord, Kind, SchemaRecord, Verdict
from orchestrator.updates.admission_record import State, is_later
from pipelines.config.pipeline_errors import DataError
from pipelines.config.sections.source_section import SourceSpec
from pipelines.data.datasets.labels import LabelMap, label_map, plain_labels
from pipelines.data.datasets.location import natural_order

_SHOWN = 10
_NOTHING = hashlib.sha256(b"").hexdigest()
_ACTIONS: dict[str, Verdict] = {"admit": "waiting", "skip": "skipped", "quarantine": "quarantined"}


@dataclass(frozen=True)
class Found:
    """A file as a listing shows it.

    Attributes:
        key: its path below the source.
        size: bytes; messages of a topic.
        version: its ETag, or when it was written, in nanoseconds.
        modified: seconds since 1970, by the clock of what holds it.
    """

    key: str
    size: int
    version: str
    modified: float


@dataclass(frozen=True)
class Look:
    """What a file holds, found by reading it once.

    Attributes:
        sha256: of its bytes.
        problem: why it cannot be learned from, whatever the other files are; None: nothing is wrong with it.
        rows: how many.
        shape, dtype, names: of an input, and the columns of the inputs.
        labels: the different ones; of a file of labels, that of each id.
        time: the last time of its rows.
        ids: of its rows, where labels come later; of a file of labels the different ones.
    """

    sha256: str
    problem: str | None = None
    rows: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""
    names: tuple[str, ...] | None = None
    labels: NDArray[Any] | None = None
    time: str | float | None = None
    ids: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class FileJudge:
    """Decides on one file after another; what it admits is known for the next.

    Attributes:
        learned: of each content that counts, the key of its file.
        pairs: keys and contents that count.
        trained: the keys of experiences.
    """

    source: SourceSpec
    contents: SchemaRecord | None
    learned: dict[str, str]
    pairs: set[tuple[str, str]]
    trained: set[str]
    state: State

    def __call__(self, found: Found, look: Look) -> FileRecord:
        verdict, kind, reason = self._verdict(found, look)
        if verdict == "waiting":
            self.learned[look.sha256] = found.key
        return FileRecord(
            key=found.key,
            size=found.size,
            version=found.version,
            sha256=look.sha256,
            rows=None if look.problem is not None else look.rows,
            verdict=verdict,
            kind=kind,
            reason=reason[:1000],
            time=look.time,
            since=None if look.ids is None else self._since(found, look),
        )

    def _since(self, found: Found, look: Look) -> float:
        """When its rows came: a file that is moved or written again with the same content does not wait longer."""
        entry, waiting = self.state.files.get(found.key), (self.state.files[key] for key in self.state.waiting)
        known = [one for one in (entry, *waiting) if one is not None and one.sha256 == look.sha256]
        return min([found.modified, *(one.since for one in known if one.since is not None)])

    def _verdict(self, found: Found, look: Look) -> tuple[Verdict, Kind, str]:
        entry, on = self.state.files.get(found.key), self.source.on
        asked = entry is not None and entry.verdict == "approved" and same_version(entry, found)
        kind: Kind = "person" if asked else "new"
        reason = "admitted by a person" if asked else ""
        if (found.key, look.sha256) in self.pairs:
            return "skipped", "unchanged", "written again with the content that was admitted"
        if look.problem is not None and self.source.is_topic and look.sha256 == _NOTHING:
            return "skipped", "unreadable", "none of its messages has a value"
        twin = self.learned.get(look.sha256)
        if not asked and twin is not None:
            kind, reason = "duplicate", f"has the content of {twin}"
            if on.duplicate != "admit":
                return _ACTIONS[on.duplicate], kind, reason
        elif not asked and found.key in self.trained:
            kind, reason = "overwritten", "was admitted with another content; what was learned stays as it is"
            if on.overwritten != "admit":
                return _ACTIONS[on.overwritten], kind, reason
        if look.problem is not None:
            return "quarantined", "unreadable", look.problem
        assert self.contents is not None
        problem = _schema_problem(look, self.contents)
        if problem:
            return _ACTIONS[on.schema_], "schema", problem
        problem = _class_problem(look, self.contents)
        if problem:
            return _ACTIONS[on.new_class], "new_class", problem
        if kind == "new":
            reason = self._lateness(found, look)
            if reason:
                return _ACTIONS[on.late], "late", reason
        return "waiting", kind, reason

    def _lateness(self, found: Found, look: Look) -> str:
        state = self.state
        if self.source.time is not None:
            newest = state.newest_time
            return f"its last time is {look.time}, before {newest}" if is_later(newest, look.time) else ""
        if self.source.is_topic:
            return ""  # partitions grow independently of each other
        newest_key = state.newest
        if newest_key is not None and natural_order(found.key) < natural_order(newest_key):
            return f"sorts before {newest_key}, which was admitted earlier"
        return ""


def same_version(file: FileRecord, found: Found | None) -> bool:
    """Whether a listing shows the version of a file that was decided on."""
    return found is not None and (file.size, file.version) == (found.size, found.version)


def misfit(look: Look, contents: SchemaRecord) -> str:
    """Why a file does not fit the others; empty: it does."""
    return _schema_problem(look, contents) or _class_problem(look, contents)


def first_contents(source: SourceSpec, looks: Sequence[tuple[str, Look | None]]) -> SchemaRecord | None:
    """What the first files have in common; None where none of them can be read."""
    whole = [(key, look) for key, look in looks if look is not None and look.problem is None]
    if not whole:
        return None
    first = whole[0][1]
    alike = [(look.labels, key) for key, look in whole if look.shape == first.shape and look.labels is not None]
    sparse = not counts_classes_from_zero(source)
    try:
        labels = label_map(source.classes, alike, sparse=sparse)
    except DataError:
        # One file may have labels of another kind: it is quarantined, and does not stop the others.
        labels = label_map(source.classes, alike[:1], sparse=sparse)
    return SchemaRecord(
        shape=first.shape,
        dtype=first.dtype,
        names=first.names,
        classes=labels.count,
        labels=labels.values,
        booleans=labels.booleans,
    )


def _schema_problem(look: Look, contents: SchemaRecord) -> str:
    if look.names != contents.names:
        names, known = look.names or (), contents.names or ()
        missing, more = [n for n in known if n not in names], [n for n in names if n not in known]
        if missing or more:
            parts = [f"lacks {', '.join(missing[:_SHOWN])}"] if missing else []
            parts += [f"has {', '.join(more[:_SHOWN])} in addition"] if more else []
            return f"other columns than the files before it: {' and '.join(parts)}"
        return "its columns are in another order than those of the files before it"
    if look.shape != contents.shape:
        return f"an input has the shape {list(look.shape)}, in the files before it {list(contents.shape)}"
    if look.dtype != contents.dtype:
        return f"its inputs are {look.dtype}, those of the files before it {contents.dtype}"
    return ""


def _class_problem(look: Look, contents: SchemaRecord) -> str:
    labels = look.labels if look.labels is not None else np.zeros(0, dtype=np.int64)
    try:
        plain = np.unique(plain_labels(labels, "it")).tolist() if len(labels) else []
    except DataError as error:
        return str(error)
    known = set(range(contents.classes)) if contents.labels is None else set(contents.labels)
    strange = [label for label in plain if label not in known]
    if not strange:
        return ""
    more = ", ..." if len(strange) > _SHOWN else ""
    return (
        f"label {', '.join(map(str, strange[:_SHOWN]))}{more} is none of the {contents.classes} classes, which the "
        "first files fixed: stream.source.classes names all that there will be"
    )


def labels_of(contents: SchemaRecord) -> LabelMap:
    """From labels to class numbers, as the first files fixed it."""
    return LabelMap(contents.classes, contents.labels, booleans=contents.booleans)


def counts_classes_from_zero(source: SourceSpec) -> bool:
    """Whether classes are counted from 0 to the highest label: formats of older lineages do."""
    return source.format in ("npz", "parquet")
