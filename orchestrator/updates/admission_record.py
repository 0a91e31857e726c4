"""The admission log: what each record holds, and what all of them together say.

A record is never changed. Each names the hash of the one before it, so that a record that was changed or taken out is
found. `State.fold` is a pure function: the state of a stream is what its records say, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError

from orchestrator.errors import CorruptCommit, StorageError
from orchestrator.lineage.canonical_json import canonical_json, digest, parse_json
from orchestrator.lineage.commit import BlobRecord, Sha256
from orchestrator.lineage.measurements import Count, is_none
from orchestrator.updates.admission_entries import (
    AdmittedExperience,
    Entry,
    FileRecord,
    HoldoutRecord,
    Key,
    Member,
    SchemaRecord,
    SettingsRecord,
    Verdict,
)
from pipelines.data.datasets.location import natural_order

FORMAT = 4

_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$"


def _is_empty(value: Any) -> bool:
    """Options of a field that is left out of the record while it is empty."""
    return not value


class AdmissionRecord(Entry):
    """One entry of the log.

    Attributes:
        number: its place, from 0.
        previous: SHA-256 of the record before it.
        at: when, UTC.
        contents: what is common to all files, where this record fixes it.
        files: what was decided of files.
        experiences: that became complete.
        withdrawn: serial numbers of experiences that were never trained and whose files are gone.
        restated: experiences whose content is another from now on (`everlearn backfill`).
        replaced: blobs of test sets, by SHA-256, that `everlearn forget` rewrote.
        settings: of the experiences from one on, where they change; such a record has format 2.
        holdout: the frozen holdout from now on; such a record has format 3.
        missing: of files that wait for labels, how many rows have none, where that has changed.
        closed: files of labels that are too old to be joined from now on. Where labels come later, records have
            format 4.
    """

    format: Literal[1, 2, 3, 4] = 1
    number: Count
    previous: Sha256 | None
    at: Annotated[str, Field(pattern=_TIME)]
    contents: SchemaRecord | None = None
    files: tuple[FileRecord, ...] = ()
    experiences: tuple[AdmittedExperience, ...] = ()
    withdrawn: tuple[Count, ...] = ()
    restated: tuple[AdmittedExperience, ...] = ()
    replaced: dict[Sha256, BlobRecord] = Field(default_factory=dict)
    settings: Annotated[SettingsRecord | None, Field(exclude_if=is_none)] = None
    holdout: Annotated[HoldoutRecord | None, Field(exclude_if=is_none)] = None
    missing: dict[Key, Count] = Field(default_factory=dict, exclude_if=_is_empty)
    closed: Annotated[tuple[Member, ...], Field(exclude_if=_is_empty)] = ()
    checksum: Sha256

    @classmethod
    def create(cls, **fields: Any) -> Self:
        """A record of `fields`: all but `format` and `checksum`. Raises ValueError when they make none."""
        made = cls.model_validate({**fields, "checksum": "0" * 64})
        made = made.model_copy(update={"format": made._needs()})
        document = made.model_dump(mode="json", exclude={"checksum"})
        return cls.model_validate_json(canonical_json({**document, "checksum": digest(document)}))

    def _needs(self) -> int:
        """The format that has all that it holds."""
        times = (*(file.since for file in self.files), *(one.since for one in (*self.experiences, *self.restated)))
        if self.missing or self.closed or any(since is not None for since in times):
            return 4
        return 3 if self.holdout is not None else 2 if self.settings is not None else 1

    @classmethod
    def parse(cls, data: bytes, number: int, source: str) -> Self:
        """What `to_json` wrote.

        Raises:
            CorruptCommit: it is damaged, or another record.
            StorageError: a newer version wrote it.
        """
        try:
            document = parse_json(data)
            if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > FORMAT:
                raise StorageError(f"{source}: made by a newer Everlearn. Upgrade Everlearn")
            record = cls.model_validate_json(data)
            if digest(record.model_dump(mode="json", exclude={"checksum"})) != record.checksum:
                raise ValueError("its checksum is wrong")
            if record.number != number:
                raise ValueError(f"it is record {record.number}")
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(part)[:50] for part in first["loc"][:8])
            raise _damaged(source, f"{where}: {first['msg'][:150]}") from None
        except (ValueError, RecursionError) as error:
            raise _damaged(source, str(error)[:200]) from None
        return record

    def to_json(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """The hash by which the next record names this one."""
        return hashlib.sha256(self.to_json()).hexdigest()


class State(Entry):
    """What the records say together.

    Attributes:
        records: how many there are.
        last: SHA-256 of the last one.
        contents: what is common to all files; None before the first admission.
        files: the last decision on each file, by its key.
        waiting: the keys that were admitted and are in no experience yet, in this order.
        experiences: in the order of admission, without those that were withdrawn.
        serials: how many experiences were ever admitted.
        newest: of the keys that were admitted, the last in natural order.
        newest_time: of the rows that were admitted, the last time.
        replaced: for each blob of a test set that was rewritten, its successor.
        settings: that searches have found, oldest first.
        holdout: the frozen holdout; None: there is none.
        missing: of files that wait for labels, how many rows have none.
        open: the files of labels that are joined, in the order in which they were admitted.
    """

    format: Literal[1] = 1
    records: Count = 0
    last: Sha256 | None = None
    contents: SchemaRecord | None = None
    files: dict[str, FileRecord] = Field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    experiences: tuple[AdmittedExperience, ...] = ()
    serials: Count = 0
    newest: str | None = None
    newest_time: str | float | None = None
    replaced: dict[Sha256, BlobRecord] = Field(default_factory=dict)
    settings: Annotated[tuple[SettingsRecord, ...], Field(exclude_if=_is_empty)] = ()
    holdout: Annotated[HoldoutRecord | None, Field(exclude_if=is_none)] = None
    missing: dict[str, Count] = Field(default_factory=dict, exclude_if=_is_empty)
    open: Annotated[tuple[FileRecord, ...], Field(exclude_if=_is_empty)] = ()

    def fold(self, records: Iterable[AdmissionRecord]) -> State:
        """The state after further records.

        Raises:
            CorruptCommit: a record does not follow the one before it.
        """
        state = _Folding(self)
        for record in records:
            state.add(record)
        return state.frozen()

    def test_blob(self, experience: AdmittedExperience) -> BlobRecord:
        """Where an experience's test set is now: `everlearn forget` may have rewritten it."""
        return self.now(experience.test)

    def holdout_blob(self) -> BlobRecord | None:
        """Where the frozen holdout is now; None: there is none."""
        return None if self.holdout is None else self.now(self.holdout.blob)

    def label_blobs(self) -> dict[str, int]:
        """The blobs of ids and labels, where labels come later: size in bytes by SHA-256."""
        waiting = (self.files[key].blob for key in self.waiting)
        given = (file.blob for file in (*self.open, *self.late()))
        kept = (*waiting, *given, *(one.labels for one in self.experiences))
        return {blob.sha256: blob.bytes for blob in map(self.now, filter(None, kept))}

    def late(self, experience: AdmittedExperience | None = None) -> list[FileRecord]:
        """The files of labels of which some came too late for an experience, or for any: only a backfill joins them."""
        ones = self.experiences if experience is None else (experience,)
        known = {one.serial: {member.sha256 for member in one.labelled or ()} for one in ones}
        return [
            file
            for file in self.files.values()
            if file.blob is not None
            and any(file.sha256 not in known.get(late.serial, {file.sha256}) for late in file.late or ())
        ]

    def now(self, blob: BlobRecord) -> BlobRecord:
        """Where a blob of the log is now: `everlearn forget` may have rewritten it."""
        while blob.sha256 in self.replaced:
            blob = self.replaced[blob.sha256]
        return blob

    def settings_of(self, experience: AdmittedExperience) -> dict[str, JsonValue] | None:
        """What was found for an experience; None: the settings of the pipeline file hold."""
        found = (record.values for record in reversed(self.settings) if record.since <= experience.serial)
        return next(found, None)

    def blobs(self) -> dict[str, int]:
        """All blobs that the log needs: size in bytes by SHA-256."""
        holdout = self.holdout_blob()
        found = [*map(self.test_blob, self.experiences), *([] if holdout is None else [holdout])]
        return {blob.sha256: blob.bytes for blob in found} | self.label_blobs()


class _Folding:
    """A state while records are added to it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._files = dict(state.files)
        self._waiting, self._experiences = list(state.waiting), list(state.experiences)
        self._missing, self._open = dict(state.missing), list(state.open)

    def add(self, record: AdmissionRecord) -> None:
        state = self._state
        if record.number != state.records or record.previous != state.last:
            raise CorruptCommit(
                f"admission record {record.number} does not follow the record before it: one was changed or removed.\n"
                "Restore the folder admissions/ from a copy of the storage"
            )
        self._withdraw(record.withdrawn)
        newest, newest_time = state.newest, state.newest_time
        for file in record.files:
            self._files[file.key] = file
            self._waiting = [key for key in self._waiting if key != file.key]
            if file.verdict == "waiting":
                if file.kind != "duplicate":
                    # A file that was moved while it waited.
                    self._waiting = [key for key in self._waiting if self._files[key].sha256 != file.sha256]
                self._waiting.append(file.key)
                newest = file.key if newest is None else max(newest, file.key, key=natural_order)
                newest_time = file.time if is_later(file.time, newest_time) else newest_time
                if file.missing is not None:
                    self._missing[file.key] = file.missing
            elif file.verdict == "joined":
                self._open.append(file)
        for experience in record.experiences:
            self._experiences.append(experience)
            for member in experience.files:
                self._waiting = [key for key in self._waiting if key != member.key]
                self._set(member, "admitted")
        self._missing |= record.missing
        closed = {(member.key, member.sha256) for member in record.closed}
        self._open = [file for file in self._open if (file.key, file.sha256) not in closed]
        changed = {one.serial: one for one in record.restated}
        self._experiences = [changed.get(one.serial, one) for one in self._experiences]
        self._state = state.model_copy(
            update={
                "records": record.number + 1,
                "last": record.sha256,
                "contents": record.contents or state.contents,
                "serials": max([state.serials, *(one.serial + 1 for one in record.experiences)]),
                "newest": newest,
                "newest_time": newest_time,
                "replaced": {**state.replaced, **record.replaced},
                "settings": (*state.settings, *(() if record.settings is None else (record.settings,))),
                "holdout": record.holdout or state.holdout,
            }
        )

    def frozen(self) -> State:
        return self._state.model_copy(
            update={
                "files": self._files,
                "waiting": tuple(self._waiting),
                "experiences": tuple(self._experiences),
                "missing": {key: self._missing[key] for key in self._waiting if key in self._missing},
                "open": tuple(self._open),
            }
        )

    def _withdraw(self, serials: Iterable[int]) -> None:
        """Remove experiences that were never trained: files of theirs that are still there are checked again."""
        gone = set(serials)
        for experience in self._experiences if gone else ():
            for member in experience.files if experience.serial in gone else ():
                entry = self._files.get(member.key)
                if entry is not None and entry.sha256 == member.sha256:
                    del self._files[member.key]
        self._experiences = [one for one in self._experiences if one.serial not in gone]

    def _set(self, member: Member, verdict: Verdict) -> None:
        entry = self._files.get(member.key)
        if entry is not None and entry.sha256 == member.sha256:
            self._files[member.key] = entry.model_copy(update={"verdict": verdict, "drift": None})


def is_later(time: str | float | None, than: str | float | None) -> bool:
    """Whether a time is after another; times of different kinds cannot be compared."""
    if time is None:
        return False
    if than is None:
        return True
    if isinstance(time, str) != isinstance(than, str):
        return False
    return time > than  # type: ignore[operator]


def _damaged(source: str, problem: str) -> CorruptCommit:
    return CorruptCommit(
        f"{source}: damaged: {problem}.\nIt says what was learned. Restore it from a copy of the storage"
    )
