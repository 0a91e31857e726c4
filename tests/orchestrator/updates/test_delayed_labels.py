"""Labels that come later: rules by tables, laws by any sequence of deliveries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.updates.admission_entries import FileRecord
from orchestrator.updates.admission_record import AdmissionRecord, State
from orchestrator.updates.delayed_labels import is_label_file, is_over
from tests.orchestrator.updates.deliveries import NOW, Folder
from tests.orchestrator.updates.label_deliveries import DAY, DelayedLog, delayed

A, B = "a.npz", "b.npz"
FIRST, SECOND = "_labels/1.csv", "_labels/2.csv"


def waiting(**options: Any) -> DelayedLog:
    """A log whose file a waits for labels of the rows 0 to 2."""
    made = delayed(**options)
    made.put(A, "0 1 2")
    made.turn()
    assert made.state.missing == {A: 3} and made.verdicts() == {A: ("waiting", "new")}
    return made


def test_a_file_is_an_experience_when_all_its_rows_have_labels() -> None:
    made = waiting()
    made.put(FIRST, "0=1 1=0 9=3")
    made.turn()
    assert made.chain == [] and made.state.missing == {A: 1}
    assert made.state.files[FIRST].reason == "1 of its labels are for rows that have not come"
    made.put(SECOND, "2=2")
    made.turn()
    assert made.chain == ["0=1 1=0 2=2"] and made.state.missing == {}
    assert made.verdicts() == {A: ("admitted", "new"), FIRST: ("joined", "new"), SECOND: ("joined", "new")}


def test_labels_may_come_before_their_rows() -> None:
    made = delayed()
    made.put(FIRST, "0=1 1=1")
    made.turn()
    assert made.state.contents is None and made.verdicts() == {FIRST: ("joined", "new")}
    made.put(A, "0 1")
    made.turn()
    assert made.chain == ["0=1 1=1"]


def test_after_its_time_a_file_is_learned_with_the_labels_that_have_come() -> None:
    made = waiting()
    made.put(FIRST, "1=3")
    made.turn(NOW + 7 * DAY - 1001)
    assert made.chain == []
    made.turn(NOW + 7 * DAY - 999)
    assert made.chain == ["0=-1 1=3 2=-1"] and made.state.experiences[0].unlabelled == 2
    made.put(SECOND, "0=1 1=3")
    made.turn(NOW + 7 * DAY)
    late = made.state.files[SECOND]
    assert (late.verdict, late.kind, [(one.serial, one.labels) for one in late.late or ()]) == (
        "joined",
        "late",
        [(0, 1)],
    )
    assert late.reason.startswith("1 of its labels came too late, and change nothing")
    assert made.chain == ["0=-1 1=3 2=-1"]


def test_a_file_without_any_label_goes_into_quarantine_and_may_be_released() -> None:
    made = waiting()
    made.turn(NOW + 7 * DAY)
    assert made.verdicts() == {A: ("quarantined", "unlabelled")}
    assert made.state.files[A].reason == "no label of it came within 7d"
    made.put(FIRST, "0=1")
    made.turn(NOW + 8 * DAY)
    assert made.chain == []
    person(made, A, "released")
    made.turn(NOW + 8 * DAY)
    assert made.chain == ["0=1 1=-1 2=-1"]


def test_the_order_is_that_in_which_labels_are_complete_and_then_that_of_admission() -> None:
    made = delayed()
    for key, rows in (("c.npz", "4 5"), (B, "2 3"), (A, "0 1")):
        made.put(key, rows)
        made.turn()
    made.put(FIRST, "0=1 1=1")
    made.turn()
    made.put(SECOND, "2=2 3=2 4=3 5=3")
    made.turn()
    assert made.chain == ["0=1 1=1", "4=3 5=3", "2=2 3=2"]


def test_files_that_are_an_experience_together_wait_for_one_another() -> None:
    made = delayed(batch={"files": 2})
    for number in range(4):
        made.put(f"{number}.npz", str(number))
    made.put(FIRST, "0=0 2=2 3=3")
    made.turn()
    assert made.chain == ["2=2 3=3"]
    made.put(SECOND, "1=1")
    made.turn()
    assert made.chain == ["2=2 3=3", "0=0 1=1"]


@pytest.mark.parametrize(
    ("content", "verdict", "kind"),
    [
        ("0=1", "skipped", "duplicate"),
        ("torn", "quarantined", "unreadable"),
        ("1=7", "quarantined", "new_class"),
        ("0=2 1=1", "quarantined", "contradiction"),
        ("0=1 1=1", "joined", "new"),
    ],
)
@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_a_file_of_labels_after_the_first(key: str, content: str, verdict: str, kind: str) -> None:
    made = waiting()
    made.put(FIRST, "0=1")
    made.turn()
    made.put(key, content)
    made.turn()
    same = key == FIRST and content == "0=1"
    assert made.verdicts()[key] == (verdict, "unchanged" if same else kind)
    # What was admitted counts, whatever its file holds now.
    assert made.state.missing == {A: 1 if verdict == "joined" else 2}
    made.turn(NOW + 7 * DAY)
    assert made.chain == ["0=1 1=1 2=-1" if verdict == "joined" else "0=1 1=-1 2=-1"]


@pytest.mark.parametrize(
    ("rule", "content", "action", "verdict"),
    [
        ("new_class", "1=7", "skip", "skipped"),
        ("contradiction", "0=2", "skip", "skipped"),
        ("contradiction", "0=2", "admit", "joined"),
    ],
)
def test_the_file_says_what_happens_to_labels(rule: str, content: str, action: str, verdict: str) -> None:
    made = waiting(on={rule: action})
    made.put(FIRST, "0=1")
    made.turn()
    made.put(SECOND, content)
    made.turn()
    assert made.verdicts()[SECOND][0] == verdict
    made.turn(NOW + 7 * DAY)
    assert made.chain == ["0=2 1=-1 2=-1" if verdict == "joined" else "0=1 1=-1 2=-1"]


@pytest.mark.parametrize(
    ("action", "verdict"), [("admit", "joined"), ("skip", "skipped"), ("quarantine", "quarantined")]
)
def test_labels_that_are_all_late(action: str, verdict: str) -> None:
    made = waiting(on={"late": action})
    made.put(FIRST, "0=1 1=1 2=1")
    made.turn()
    made.put(SECOND, "0=1 1=0")
    made.turn()
    assert made.verdicts()[SECOND] == (verdict, "late") and made.chain == ["0=1 1=1 2=1"]
    made.put("_labels/3.csv", "0=1 1=1")
    made.turn()
    assert made.verdicts()["_labels/3.csv"] == ("skipped", "duplicate")


def test_a_person_admits_labels_that_contradict() -> None:
    made = waiting()
    made.put(FIRST, "0=1")
    made.put(SECOND, "0=2 1=1 2=1")
    made.turn()
    person(made, SECOND, "approved")
    made.turn()
    assert made.chain == ["0=2 1=1 2=1"]


def test_a_file_that_is_moved_or_written_again_does_not_wait_longer() -> None:
    made = waiting()
    made.put(FIRST, "0=1")
    made.turn()
    made.put(A, "0 1 2", NOW + 2 * DAY)
    made.turn(NOW + 3 * DAY)
    del made.folder.files[A]
    made.put(B, "0 1 2", NOW + 4 * DAY)
    made.turn(NOW + 5 * DAY)
    assert made.state.missing == {B: 2} and made.chain == []
    made.turn(NOW + 7 * DAY)
    assert made.chain == ["0=1 1=-1 2=-1"]


def test_old_labels_are_joined_no_more_once_nothing_waits_for_them() -> None:
    made = waiting()
    made.put(FIRST, "0=1 1=1 2=1 8=2")
    made.turn()
    assert [file.key for file in made.state.open] == [FIRST]
    made.put(B, "7", NOW + 14 * DAY)
    made.turn(NOW + 15 * DAY)
    assert made.state.open == () and made.state.missing == {B: 1}


def test_too_many_files_of_labels_in_quarantine_stop_the_stream() -> None:
    made = waiting(max_quarantined=1)
    for number in range(5):
        made.put(f"_labels/{number}.csv", f"torn {number}")
    reads = len(made.folder.reads)
    assert made.turn().stopped and len(made.folder.reads) - reads == 2
    made.put(FIRST, "0=1 1=1 2=1")  # put right: the others are looked at again
    assert made.turn().stopped and made.verdicts()[FIRST] == ("joined", "new")


def test_which_keys_are_files_of_labels() -> None:
    assert is_label_file("_labels/day/x.csv.gz") and is_label_file("_labels/x.parquet")
    assert not any(
        map(is_label_file, ("x.csv", "_labels/_SUCCESS", "_labels/_x.csv", "_labels/.t/x.csv", "labels/x.csv"))
    )


def person(made: DelayedLog, key: str, verdict: Any) -> None:
    decided = FileRecord(**{**made.state.files[key].model_dump(), "verdict": verdict, "kind": "person"})
    at = "2026-01-01T00:00:00Z"
    made.append(AdmissionRecord.create(number=made.state.records, previous=made.state.last, at=at, files=(decided,)))


INPUTS = st.sampled_from(["0 1", "2 3", "4 5 6", "1 7", "torn", "wide 2 9"])
GIVEN = st.sampled_from(
    ["0=1 1=1", "2=2", "3=2", "4=0 5=1 6=2", "1=0 3=2", "7=1 0=1", "9=9", "torn", "2=2 3=2 5=1 7=1"]
)
EVENTS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from([A, B, "c.npz"]), INPUTS),
    st.tuples(st.just("put"), st.sampled_from([FIRST, SECOND, "_labels/3.csv"]), GIVEN),
    st.tuples(st.just("torn"), st.sampled_from([A, FIRST]), st.just("")),
    st.tuples(st.just("move"), st.sampled_from([A, B, FIRST]), st.just("")),
    st.tuples(st.just("delete"), st.sampled_from([A, B, FIRST, SECOND]), st.just("")),
    st.tuples(st.just("step"), st.sampled_from([0.0, 1.0, 8.0]), st.just("")),
    st.tuples(st.just("admit only"), st.just(0.5), st.just("")),
)


def deliver(folder: Folder, event: str, key: Any, content: str, now: float) -> None:
    if event == "put":
        folder.put(key, content, now - 20)
    elif event == "torn":  # an upload that is not finished yet: too young to be read
        folder.put(key, "torn", now)
    elif event == "move" and key in folder.files:
        folder.put(key.replace(".", "-moved."), folder.files.pop(key)[0], now - 20)
    elif event == "delete":
        folder.files.pop(key, None)


@settings(max_examples=100, deadline=None)
@given(
    events=st.lists(EVENTS, max_size=25),
    batch=st.sampled_from([{"files": 1}, {"files": 2}]),
    on=st.sampled_from(["quarantine", "skip", "admit"]),
)
def test_any_deliveries_give_the_chain_of_their_log(events: list[tuple[str, Any, str]], batch: Any, on: str) -> None:
    more: dict[str, Any] = {"batch": batch, "ready": {"age": "10s"}, "max_quarantined": 99}
    made = delayed(**more, on={"contradiction": on})
    now, learned = NOW, list[str]()
    for event, key, content in [*events, ("step", 8.0, "")]:
        if event not in ("step", "admit only"):
            deliver(made.folder, event, key, content, now)
            continue
        now += key * DAY
        made.turn(now, train=event == "step")
        assert made.chain[: len(learned)] == learned
        learned = made.chain[: made.trained]
        # Nothing that is there and over waits.
        there = [made.state.files[name] for name in made.state.waiting if name in made.folder.files]
        assert batch == {"files": 2} or all(not is_over(file, made.source, now) for file in there)
    # The state is what the records say, read as they were written; an idle turn adds nothing and reads nothing.
    read = [AdmissionRecord.parse(one.to_json(), one.number, "x") for one in made.records]
    assert State().fold(read) == made.state
    assert State.model_validate_json(made.state.model_dump_json()) == made.state
    reads, records = len(made.folder.reads), len(made.records)
    made.turn(now)
    assert (len(made.folder.reads), len(made.records)) == (reads, records)
    # The same inputs, with the labels that the log joined to them and no others, give the same chain.
    quiet = delayed(**more, on={"contradiction": "admit"})
    for number, one in enumerate(made.state.experiences):
        pairs = {id_: label for id_, label in made.blobs[one.fingerprint].items() if label >= 0}
        quiet.put(f"_labels/{number}.csv", " ".join(f"{id_}={label}" for id_, label in pairs.items()), now)
        for place, member in enumerate(one.files):
            quiet.put(f"{number}-{place}.npz", made.contents[member.sha256], now)
        quiet.turn(now + 10)
        quiet.turn(now := now + 16 * DAY)
    assert quiet.chain == made.chain
