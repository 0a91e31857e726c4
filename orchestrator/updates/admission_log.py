"""The admission log of a pipeline in its store: read at a cost that does not grow, and added to under the claim.

    <pipeline>/admissions/<n>.json      the records, never changed
    <pipeline>/admissions/index.json    what the first of them say together, so that not all have to be read

The index follows from the records, and is rebuilt where it is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.errors import CorruptCommit, MissingKey, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.canonical_json import spelled
from orchestrator.lineage.commit import utc_now
from orchestrator.lineage.fencing import create, is_note
from orchestrator.updates.admission_record import AdmissionRecord, State

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage


class AdmissionLog:
    """Reads and writes one pipeline's admission log.

    Attributes:
        state: what the records say, as of the last `read` or `append`.
        behind: whether the index lacks a record.
        lineage: whose log it is.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.lineage, self._store = lineage, lineage.store
        self.state = State()
        self.behind = False

    def read(self) -> State:
        """What the log says: a request for the index, and one for each record that it lacks, plus one.

        Raises:
            CorruptCommit: a record is damaged, or does not follow the one before it.
            StorageError: the storage cannot be read.
        """
        state = self._index() or State()
        known = state.records
        following: list[AdmissionRecord] = []
        while (record := self.record(known + len(following))) is not None:
            following.append(record)
        self.behind = bool(following)
        self.state = state.fold(following) if following else state
        return self.state

    def record(self, number: int) -> AdmissionRecord | None:
        """One record; None: it was not written. Raises as `read`."""
        key = layout.admission_key(self.lineage.pipeline, number)
        try:
            data = self._store.get(key)
        except MissingKey:
            return None
        return None if is_note(data) else AdmissionRecord.parse(data, number, f"{self._store.uri}/{key}")

    def records(self) -> Iterator[AdmissionRecord]:
        """All records, oldest first. Raises as `read`."""
        number = 0
        while (record := self.record(number)) is not None:
            yield record
            number += 1

    def first(self, number: int) -> State:
        """What the first so many records say. Raises as `read`."""
        return State().fold(itertools.islice(self.records(), number))

    def append(self, **fields: Any) -> State:
        """Write the next record, and the index.

        Args:
            fields: of the record, without those that follow from its place.

        Raises:
            ClaimLost: the record is not written.
            StorageError: the storage cannot be used, or another process has written the record.
        """
        state, record = self.state, self.next_record(**fields)
        key = layout.admission_key(self.lineage.pipeline, record.number)
        data = record.to_json()
        if not create(self._store, self.lineage.fence, key, data) and self._store.get(key) != data:
            raise StorageError(f"{self._store.uri}/{key}: another process has written it meanwhile. Run again")
        self.state = state.fold([record])
        self.write_index()
        return self.state

    def next_record(self, **fields: Any) -> AdmissionRecord:
        """The record that `append` would write, now."""
        return AdmissionRecord.create(number=self.state.records, previous=self.state.last, at=utc_now(), **fields)

    def write_index(self) -> None:
        """Write what the log says, so that its records need not be read again. Raises as `append`."""
        key = layout.admission_index_key(self.lineage.pipeline)
        self.lineage.put(key, index_bytes(self.state))
        self.behind = False

    def _index(self) -> State | None:
        """What was written as the index; None where it is missing or damaged: it follows from the records."""
        try:
            data = self._store.get(layout.admission_index_key(self.lineage.pipeline))
            return None if is_note(data) else _parsed(data)
        except (MissingKey, ValidationError):
            return None


@lru_cache(maxsize=2)
def _parsed(data: bytes) -> State:
    """An index: of the same bytes once, as a step reads it several times. Nothing changes a state."""
    return State.model_validate_json(data)


def index_bytes(state: State) -> bytes:
    """A state as it is stored: equal states have equal bytes."""
    # As canonical JSON, in a third of the time: its keys are strings already, and it grows with every file.
    return spelled(state.model_dump(mode="json"))


def read_admissions(lineage: Lineage) -> State | None:
    """What a pipeline's log says; None: it has none. Raises StorageError; a damaged log is a CorruptCommit."""
    state = AdmissionLog(lineage).read()
    return state if state.records else None


def whole_log(lineage: Lineage) -> tuple[State, list[tuple[str, str]]]:
    """What the records say from the first on, and what is damaged: keys and problems."""
    log, state = AdmissionLog(lineage), State()
    problems: list[tuple[str, str]] = []
    number = 0
    while True:
        key = layout.admission_key(lineage.pipeline, number)
        try:
            record = log.record(number)
            if record is None:
                break
            state = state.fold([record])
        except CorruptCommit as error:
            problems.append((key, str(error).splitlines()[0].removeprefix(f"{lineage.store.uri}/{key}: ").rstrip(".")))
            break
        number += 1
    return state, problems
