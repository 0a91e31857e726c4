"""Decisions: records that are only added, each bound to the one before, and the refs that follow from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import CorruptCommit, RefConflict, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.canonical_json import canonical_json
from orchestrator.lineage.decisions import (
    Decision,
    DecisionState,
    append_decision,
    decision_state,
    last_decision,
    newest_first,
    read_decision,
    settle,
    tainted,
)
from orchestrator.lineage.fencing import Fence
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from tests.orchestrator.lineage.chains import write_chain


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(FolderStore(tmp_path), "split-digits")


def promote(lineage: Lineage, commit: str, **fields: Any) -> Decision:
    return append_decision(
        lineage, kind="promotion", commit=commit, state=DecisionState(champion=commit, **fields), reason="better"
    )


def test_records_are_bound_to_one_another_and_read_back(lineage: Lineage) -> None:
    assert last_decision(lineage) is None and decision_state(lineage) == DecisionState()
    first, second = (commit.id for commit in write_chain(lineage, 2))
    one = promote(lineage, first)
    two = promote(lineage, second, bad=(first,))
    assert (one.number, one.previous, one.champion) == (1, None, None)
    assert (two.number, two.previous, two.champion) == (2, one.checksum, first)
    assert list(newest_first(lineage)) == [two, one]
    assert last_decision(lineage) == two and decision_state(lineage).bad == (first,)
    assert "@" in one.by and one.at.endswith("Z")
    assert read_decision(lineage, 3) is None
    assert Decision.parse(two.to_json(), "x") == two
    with pytest.raises(CorruptCommit, match="its checksum is wrong"):
        Decision.parse(canonical_json({**json.loads(two.to_json()), "reason": "another"}), "x")


def rewrite(lineage: Lineage, number: int, **changes: Any) -> None:
    """Change a record and give it a checksum that fits."""
    decision = read_decision(lineage, number)
    assert decision is not None
    fields = {**decision.model_dump(mode="json"), **changes}
    del fields["checksum"]
    lineage.store.put(layout.decision_key(lineage.pipeline, number), Decision.create(**fields).to_json())


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("changed", "the history was changed"),
        ("middle", "the history was changed"),
        ("first", "are missing"),
        ("swapped", "stored under another number"),
        ("cut", "damaged"),
    ],
)
def test_a_history_that_was_changed_is_found(lineage: Lineage, harm: str, message: str) -> None:
    commit = write_chain(lineage, 1)[0].id
    for _ in range(3):
        promote(lineage, commit)
    assert len(list(newest_first(lineage))) == 3
    store, keys = lineage.store, [layout.decision_key(lineage.pipeline, number) for number in (1, 2, 3)]
    if harm == "changed":
        rewrite(lineage, 1, reason="a nicer one")
    elif harm == "middle":
        store.delete(keys[1])
    elif harm == "first":
        store.delete(keys[0])
    elif harm == "swapped":
        store.put(keys[1], store.get(keys[0]))
    else:
        store.put(keys[1], store.get(keys[1])[:-9])
    with pytest.raises(CorruptCommit, match=message):
        list(newest_first(lineage))


def test_what_is_no_decision_is_refused() -> None:
    for data in (b"", b"[]", b"{}", b"\xff", canonical_json({"format": 1, "number": 1})):
        with pytest.raises(CorruptCommit):
            Decision.parse(data, "x")
    with pytest.raises(StorageError, match="newer Everlearn"):
        Decision.parse(json.dumps({"format": 99}).encode(), "x")


def test_two_that_decide_at_once_do_not_both_get_a_number(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = write_chain(lineage, 1)[0].id
    other = Lineage(lineage.store, lineage.pipeline)
    find = lineage.store.list

    def slow(prefix: str = "") -> Any:
        found = list(find(prefix))
        monkeypatch.setattr(lineage.store, "list", find)
        promote(other, commit)
        return iter(found)

    monkeypatch.setattr(lineage.store, "list", slow)
    with pytest.raises(RefConflict, match="added a decision at the same time"):
        promote(lineage, commit)
    assert [decision.number for decision in newest_first(lineage)] == [1]


def test_a_note_of_an_interrupted_write_is_no_record_and_is_replaced(lineage: Lineage) -> None:
    from orchestrator.lineage.fencing import _note

    commit = write_chain(lineage, 1)[0].id
    lineage.store.put(layout.decision_key(lineage.pipeline, 1), _note("0" * 32))
    assert last_decision(lineage) is None and list(newest_first(lineage)) == []
    assert promote(lineage, commit).number == 1
    assert isinstance(lineage.fence, Fence | None)


def test_refs_follow_the_newest_record(lineage: Lineage) -> None:
    first, second, third = (commit.id for commit in write_chain(lineage, 3))
    assert settle(lineage) == DecisionState() and lineage.refs() == {}
    promote(lineage, first)
    settle(lineage)
    assert {name: ref.commit for name, ref in lineage.refs().items()} == {"champion": first}
    promote(lineage, first, proposed=second)
    settle(lineage)
    assert {name: ref.commit for name, ref in lineage.refs().items()} == {"champion": first, "proposed": second}
    promote(lineage, third)
    settle(lineage)
    assert {name: ref.commit for name, ref in lineage.refs().items()} == {"champion": third, "proposed": third}
    before = dict(lineage.refs())
    settle(lineage)
    assert lineage.refs() == before


def test_what_descends_from_a_bad_commit_is_known(lineage: Lineage) -> None:
    first, second, third = (commit.id for commit in write_chain(lineage, 3))
    assert tainted(lineage, third, ()) is None
    assert tainted(lineage, third, (second,)) == tainted(lineage, second, (second,)) == second
    assert tainted(lineage, first, (second,)) is None
