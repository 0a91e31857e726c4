from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.errors import CorruptCommit, StorageError
from orchestrator.lineage.canonical_json import canonical_json, digest
from orchestrator.lineage.commit import BlobRecord
from orchestrator.updates.admission_record import FORMAT, AdmissionRecord, State, is_later
from tests.orchestrator.updates.deliveries import Log, chain_of, sha, spec


def grown() -> Log:
    log = Log(spec())
    for name in ("a", "b", "c"):
        log.folder.put(f"{name}.npz", name)
        log.turn()
    return log


def test_a_record_is_read_as_it_was_written() -> None:
    for number, record in enumerate(grown().records):
        assert AdmissionRecord.parse(record.to_json(), number, "store/x") == record
        assert record.to_json() == canonical_json(json.loads(record.to_json()))


def changed(record: AdmissionRecord, *, sealed: bool = False, **fields: Any) -> bytes:
    document = {**json.loads(record.to_json()), **fields}
    if sealed:
        document["checksum"] = digest({key: value for key, value in document.items() if key != "checksum"})
    return canonical_json(document)


def test_a_record_that_was_changed_is_refused() -> None:
    record = grown().records[1]
    with pytest.raises(CorruptCommit, match="store/x: damaged: its checksum is wrong"):
        AdmissionRecord.parse(changed(record, files=[]), 1, "store/x")
    with pytest.raises(CorruptCommit, match="it is record 1"):
        AdmissionRecord.parse(record.to_json(), 2, "store/x")
    with pytest.raises(CorruptCommit, match="damaged"):
        AdmissionRecord.parse(record.to_json()[:-9], 1, "store/x")
    with pytest.raises(CorruptCommit, match=r"at: "):
        AdmissionRecord.parse(changed(record, at="yesterday"), 1, "store/x")
    with pytest.raises(StorageError, match="newer Everlearn"):
        AdmissionRecord.parse(changed(record, format=FORMAT + 1), 1, "store/x")


def test_records_that_do_not_follow_one_another_are_refused() -> None:
    records = grown().records
    with pytest.raises(CorruptCommit, match="record 2 does not follow"):
        State().fold([records[0], records[2]])
    other = AdmissionRecord.parse(changed(records[1], sealed=True, at="2026-02-01T00:00:00Z"), 1, "store/x")
    with pytest.raises(CorruptCommit, match="record 2 does not follow"):
        State().fold([records[0], other, records[2]])


def test_a_state_can_be_kept_and_continued() -> None:
    log = grown()
    for number in range(len(log.records) + 1):
        begun = State.model_validate_json(State().fold(log.records[:number]).model_dump_json())
        assert begun.fold(log.records[number:]) == log.state
    assert log.chain == chain_of(["a", "b", "c"]) and log.state.newest == "c.npz"


def test_a_test_set_is_found_after_it_was_written_anew() -> None:
    log = grown()
    first, second = BlobRecord(sha256=sha("new"), bytes=7), BlobRecord(sha256=sha("newer"), bytes=6)
    old = log.state.experiences[1].test.sha256
    for before, after in ((old, first), (first.sha256, second)):
        at = "2026-01-01T00:00:00Z"
        log.append(
            AdmissionRecord.create(number=log.state.records, previous=log.state.last, at=at, replaced={before: after})
        )
    assert log.state.test_blob(log.state.experiences[1]) == second
    assert log.state.blobs().keys() == {sha("0"), sha("newer"), sha("2")}


def test_an_experience_may_be_restated() -> None:
    log = grown()
    restated = log.state.experiences[1].model_copy(update={"fingerprint": "another"})
    at = "2026-01-01T00:00:00Z"
    log.append(AdmissionRecord.create(number=3, previous=log.state.last, at=at, restated=(restated,)))
    assert log.chain == [*chain_of("a"), "another", *chain_of("c")]


def test_times_of_one_kind_are_compared() -> None:
    assert is_later(2.0, 1.0) and is_later("2026-02", "2026-01") and is_later(1.0, None)
    assert not (is_later(1.0, 1.0) or is_later(None, None) or is_later("1", 0.0) or is_later(None, 1.0))
