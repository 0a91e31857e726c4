"""What is admitted, and what is not: rules by tables, laws by any sequence of deliveries.

Covers: `orchestrator/updates/file_verdict.py`
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.updates.admission import decide, in_quarantine
from orchestrator.updates.admission_entries import FileRecord
from orchestrator.updates.admission_record import State
from tests.orchestrator.updates.deliveries import NOW, Folder, Log, chain_of, look_of, sha, spec


def log(**options: Any) -> Log:
    made = Log(spec(**options))
    made.folder.put("b.npz", "first")
    made.turn()
    return made


def test_the_first_files_are_admitted_in_natural_order() -> None:
    made = Log(spec())
    for name in ("batch10.npz", "batch2.npz", "batch1.npz"):
        made.folder.put(name, name)
    made.turn()
    assert made.chain == chain_of(["batch1.npz", "batch2.npz", "batch10.npz"])


CASES: list[tuple[str, str, str, str]] = [
    # written where, with which content: the rule's name, and its verdict by default
    ("c.npz", "second", "new", "admitted"),
    ("a.npz", "second", "late", "admitted"),
    ("c.npz", "first", "duplicate", "skipped"),
    ("b.npz", "second", "overwritten", "quarantined"),
    ("b.npz", "first", "unchanged", "skipped"),
    ("c.npz", "torn", "unreadable", "quarantined"),
    ("c.npz", "wide", "schema", "quarantined"),
    ("c.npz", "class7", "new_class", "quarantined"),
    ("b.npz", "torn", "overwritten", "quarantined"),
    ("a.npz", "torn", "unreadable", "quarantined"),
]


@pytest.mark.parametrize(("key", "content", "kind", "verdict"), CASES)
def test_a_file_after_the_first(key: str, content: str, kind: str, verdict: str) -> None:
    made = log()
    made.folder.put(key, content)
    made.turn()
    assert made.verdicts()[key] == (verdict, kind)
    assert made.chain == chain_of(["first", *([content] if verdict == "admitted" else [])])
    assert (made.state.files[key].reason == "") == (kind == "new")
    assert made.state.files[key].rows == (None if content == "torn" else 10)


@pytest.mark.parametrize("action", ["admit", "skip", "quarantine"])
@pytest.mark.parametrize(
    ("rule", "key", "content"),
    [("late", "a.npz", "second"), ("duplicate", "c.npz", "first"), ("overwritten", "b.npz", "second")],
)
def test_the_file_says_what_happens(rule: str, key: str, content: str, action: str) -> None:
    made = log(on={rule: action})
    made.folder.put(key, content)
    made.turn()
    verdict = {"admit": "admitted", "skip": "skipped", "quarantine": "quarantined"}[action]
    assert made.verdicts()[key] == (verdict, rule)
    assert made.chain == chain_of(["first", *([content] if action == "admit" else [])])


@pytest.mark.parametrize(("rule", "content"), [("schema", "wide"), ("new_class", "class7")])
def test_what_does_not_fit_may_be_skipped(rule: str, content: str) -> None:
    made = log(on={rule: "skip"})
    made.folder.put("c.npz", content)
    made.turn()
    assert made.verdicts()["c.npz"] == ("skipped", rule)


def test_an_overwritten_file_that_is_admitted_must_still_fit() -> None:
    made = log(on={"overwritten": "admit"})
    made.folder.put("b.npz", "wide")
    made.turn()
    assert made.verdicts()["b.npz"] == ("quarantined", "schema")


def test_a_torn_file_that_is_written_again_is_admitted() -> None:
    made = log()
    made.folder.put("c.npz", "torn")
    made.turn()
    made.folder.put("c.npz", "whole")
    made.turn()
    assert made.chain == chain_of(["first", "whole"])
    assert in_quarantine(made.state, made.folder.files) == []


def test_one_bad_file_among_the_first_does_not_stop_the_others() -> None:
    made = Log(spec(classes=None))
    for key, content in (("a", "torn"), ("b", "class2"), ("c", "wide"), ("d", "class3")):
        made.folder.put(f"{key}.npz", content)
    made.turn()
    assert made.verdicts() == {
        "a.npz": ("quarantined", "unreadable"),
        "b.npz": ("admitted", "new"),
        "c.npz": ("quarantined", "schema"),
        "d.npz": ("admitted", "new"),
    }
    assert made.state.contents is not None and made.state.contents.classes == 4


def test_the_time_of_the_rows_decides_what_is_late() -> None:
    made = Log(spec(time="at"))
    made.folder.put("b.npz", "at5")
    made.turn()
    made.folder.put("a.npz", "at6")
    made.folder.put("c.npz", "at4")
    made.turn()
    assert made.verdicts()["a.npz"] == ("admitted", "new")
    assert made.verdicts()["c.npz"] == ("admitted", "late")


@pytest.mark.parametrize(
    ("ready", "age", "others", "admitted"),
    [
        ({"age": "2m"}, 119, [], False),
        ({"age": "2m"}, 121, [], True),
        ({"marker": "_SUCCESS"}, 999, [], False),
        ({"marker": "_SUCCESS"}, 0, ["day/_SUCCESS"], True),
        ({"marker": "_SUCCESS"}, 0, ["_SUCCESS"], False),
        ({"marker": "*.done"}, 0, ["day/a.npz.done"], True),
        ({"marker": "*.done"}, 0, ["day/b.npz.done"], False),
    ],
)
def test_a_file_is_read_when_it_is_ready(ready: Any, age: float, others: list[str], admitted: bool) -> None:
    made = Log(spec(ready=ready))
    made.folder.put("day/a.npz", "first", NOW - age)
    for key in others:
        made.folder.put(key, "")
    # Only one of the files is data: the others are markers, or hidden.
    listing = made.folder.listing()
    found = decide(listing, State(), made.source, NOW, made.folder.look, trained=0)
    assert [file.key for file in found.files] == (["day/a.npz"] if admitted else [])
    assert made.folder.reads == (["day/a.npz"] if admitted else [])


def test_hidden_names_are_no_data() -> None:
    made = Log(spec())
    for key in (".part.npz", "_temporary/a.npz", "_a.npz", "day/.x/a.npz"):
        made.folder.put(key, key)
    assert not made.turn() and made.folder.reads == []


@pytest.mark.parametrize(
    ("batch", "written", "expected"),
    [
        ({"files": 2}, 5, [2, 2]),
        ({"rows": 25}, 7, [3, 3]),
        ({"rows": 10}, 2, [1, 1]),
    ],
)
def test_files_become_experiences_together(batch: Any, written: int, expected: list[int]) -> None:
    made = Log(spec(batch=batch))
    for number in range(written):
        made.folder.put(f"{number}.npz", f"content {number}")
        made.turn()
    assert [len(one.files) for one in made.state.experiences] == expected
    assert [m.key for one in made.state.experiences for m in one.files] == [f"{n}.npz" for n in range(sum(expected))]
    assert len(made.folder.reads) == written  # waiting costs nothing


def test_a_period_is_an_experience_once_it_is_over() -> None:
    made = Log(spec(batch={"every": "1d"}, ready={"age": "1h"}))
    day, hour = 86400.0, 3600.0
    for number, when in enumerate((1 * day, 1.5 * day, 2.2 * day)):
        made.folder.put(f"{number}.npz", f"content {number}", when)
    made.turn(2 * day + 0.5 * hour)
    assert made.chain == []  # a file of the last minute may still become ready
    made.turn(2 * day + 1 * hour)
    assert [len(one.files) for one in made.state.experiences] == [2]
    made.turn(3 * day + 1 * hour)
    assert [len(one.files) for one in made.state.experiences] == [2, 1]


def test_a_file_that_changes_or_moves_while_it_waits() -> None:
    made = Log(spec(batch={"files": 2}))
    made.folder.put("a.npz", "old")
    made.turn()
    made.folder.put("a.npz", "new")
    made.turn()
    assert made.chain == [] and made.verdicts() == {"a.npz": ("waiting", "new")}
    del made.folder.files["a.npz"]
    made.folder.put("moved.npz", "new")
    made.turn()
    assert made.chain == []
    made.folder.put("z.npz", "other")
    made.turn()
    assert [[m.key for m in one.files] for one in made.state.experiences] == [["moved.npz", "z.npz"]]


def test_too_many_in_quarantine_stop_the_stream_until_a_person_has_decided() -> None:
    made = log(max_quarantined=1)
    for number in range(5):
        made.folder.put(f"c{number}.npz", f"torn {number}")
    made.folder.put("d.npz", "good")
    reads = len(made.folder.reads)
    assert made.turn().stopped
    assert len(made.folder.reads) - reads == 2  # no more than is needed to know it
    assert made.turn().stopped and made.chain == chain_of(["first"])
    for number in range(5):
        del made.folder.files[f"c{number}.npz"]
    assert not made.turn().stopped
    assert made.chain == chain_of(["first", "good"])


@pytest.mark.parametrize("verdict", ["approved", "released", "skipped"])
def test_what_a_person_decides(verdict: Any) -> None:
    made = log()
    made.folder.put("b.npz", "second")
    made.turn()
    entry = made.state.files["b.npz"]
    assert entry.verdict == "quarantined"
    decided = FileRecord(**{**entry.model_dump(), "verdict": verdict, "kind": "person"})
    made.append(_record(made, decided))
    made.turn()
    expected = {"approved": "admitted", "released": "quarantined", "skipped": "skipped"}[verdict]
    assert made.verdicts()["b.npz"][0] == expected
    assert made.chain == chain_of(["first", *(["second"] if verdict == "approved" else [])])


def test_a_person_cannot_admit_what_does_not_fit() -> None:
    made = log()
    made.folder.put("c.npz", "wide")
    made.turn()
    entry = made.state.files["c.npz"]
    made.append(_record(made, FileRecord(**{**entry.model_dump(), "verdict": "approved", "kind": "person"})))
    made.turn()
    assert made.verdicts()["c.npz"] == ("quarantined", "schema")


def test_an_experience_that_was_never_trained_is_withdrawn_when_its_file_is_gone() -> None:
    made = Log(spec())
    made.folder.put("a.npz", "first")
    made.folder.put("b.npz", "second")
    made.turn(train=False)
    del made.folder.files["a.npz"]
    made.folder.put("b.npz", "third")
    made.turn()
    assert made.chain == chain_of(["third"])
    assert [one.serial for one in made.state.experiences] == [2]
    del made.folder.files["b.npz"]
    assert not made.turn() and made.chain == chain_of(["third"])  # it was trained


def _record(made: Log, file: FileRecord) -> Any:
    from orchestrator.updates.admission_record import AdmissionRecord

    at = "2026-01-01T00:00:00Z"
    return AdmissionRecord.create(number=made.state.records, previous=made.state.last, at=at, files=(file,))


KEYS = st.sampled_from(["a.npz", "b.npz", "c.npz", "d.npz"])
CONTENTS = st.sampled_from(["one", "two", "three", "torn 1", "wide", "class7", "class2"])
EVENTS = st.one_of(
    st.tuples(st.just("put"), KEYS, CONTENTS),
    st.tuples(st.just("torn"), KEYS, CONTENTS),
    st.tuples(st.just("move"), KEYS, KEYS),
    st.tuples(st.just("delete"), KEYS, st.just("")),
    st.tuples(st.just("step"), st.booleans(), st.just("")),
)
BATCHES = st.sampled_from([{"files": 1}, {"files": 2}, {"rows": 15}])


def deliver(folder: Folder, event: str, key: Any, content: str) -> None:
    if event == "put":
        folder.put(key, content)
    elif event == "torn":  # an upload that is not finished yet: too young to be read
        folder.put(key, f"torn, later {content}", NOW)
    elif event == "move" and key in folder.files:
        folder.put(content, folder.files.pop(key)[0])
    elif event == "delete":
        folder.files.pop(key, None)


@settings(max_examples=150, deadline=None)
@given(events=st.lists(EVENTS, max_size=30), batch=BATCHES)
def test_any_deliveries_give_the_chain_of_their_log(events: list[tuple[str, Any, str]], batch: Any) -> None:
    made = Log(spec(batch=batch, ready={"age": "10s"}, max_quarantined=2))
    made.folder.put("b.npz", "first")
    made.turn()
    learned: list[str] = []
    for event, key, content in [*events, ("step", True, "")]:
        if event != "step":
            deliver(made.folder, event, key, content)
            continue
        made.turn(train=key)
        # What was trained stays the beginning of the chain, whatever happened to the files.
        assert made.chain[: len(learned)] == learned
        learned = made.chain[: made.trained]
    members = [member for one in made.state.experiences for member in one.files]
    # Nothing is learned twice, and nothing that cannot be.
    assert len({member.sha256 for member in members}) == len(members)
    by_sha = {sha(content): content for content in ("first", "one", "two", "three", "class2")}
    assert {member.sha256 for member in members} <= by_sha.keys()
    # The state is what the records say, and an idle turn adds nothing and reads nothing.
    assert State().fold(made.records) == made.state
    reads = len(made.folder.reads)
    made.turn()
    assert (State().fold(made.records), len(made.folder.reads)) == (made.state, reads)
    # The same contents, delivered in the order of admission without any disturbance, give the same chain.
    quiet = Log(spec(batch=batch))
    for number, member in enumerate(members):
        quiet.folder.put(f"{number}.npz", by_sha[member.sha256])
        quiet.turn()
    assert quiet.chain == made.chain


@settings(max_examples=60, deadline=None)
@given(events=st.lists(EVENTS, max_size=20))
def test_each_version_of_a_file_is_read_at_most_once(events: list[tuple[str, Any, str]]) -> None:
    made = Log(spec(max_quarantined=100))
    for event, key, content in events:
        if event != "step":
            deliver(made.folder, event, key, content)
        made.turn()
    assert len(made.folder.reads) <= made.folder.writes


def test_looks_of_the_deliveries_are_what_their_names_say() -> None:
    assert look_of("torn").problem and look_of("wide").shape == (3,) and look_of("at3").time == 3.0
