"""The index of decisions follows from the records, whatever becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.lineage import layout
from orchestrator.lineage.decision_index import DecisionIndex
from orchestrator.lineage.decisions import (
    Decision,
    DecisionState,
    Kind,
    append_decision,
    decision_index,
    index_of,
    last_decision,
    last_of,
    newest_first,
    stored_index,
)
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates.gate import known_verdict
from pipelines.config.sections.gate_section import GateSpec
from tests.orchestrator.lineage.chains import write_chain

KINDS: tuple[Kind, ...] = ("verdict", "promotion", "update", "verdict", "training", "update", "verdict", "rollback")


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    """Eight decisions on two commits."""
    found = Lineage(FolderStore(tmp_path), "split-digits")
    first, second = (commit.id for commit in write_chain(found, 2))
    state = DecisionState()
    for number, kind in enumerate(KINDS):
        commit = (first, second)[number % 2]
        if kind in ("promotion", "rollback"):
            state = DecisionState(champion=commit)
        outcome = "refused" if kind == "verdict" else None
        evidence = {"conditions": GateSpec().conditions()}
        append_decision(found, kind=kind, commit=commit, outcome=outcome, evidence=evidence, state=state)
    return found


def test_every_earlier_index_and_none_lead_to_the_same(lineage: Lineage) -> None:
    """As where a process was killed after a record, or an old index was put back."""
    decisions = list(newest_first(lineage))[::-1]
    whole = index_of(decisions)
    assert stored_index(lineage) == decision_index(lineage) == whole and whole.records == len(KINDS)
    key = layout.decision_index_key(lineage.pipeline)
    for index in [*(index_of(decisions[:number]) for number in range(1, len(KINDS) + 1)), None]:
        lineage.store.delete(key)
        if index is not None:
            lineage.store.put(key, index.to_json())
            assert decision_index(lineage) == whole
        assert last_decision(lineage) == decisions[-1]
        assert list(newest_first(lineage)) == decisions[::-1]
        for kind in sorted(set(KINDS)):
            assert last_of(lineage, kind) == [one for one in decisions if one.kind == kind][-1]
        assert last_of(lineage, "proposal") is None
    appended = append_decision(lineage, kind="update", commit=decisions[0].commit, state=decisions[-1].state)
    assert stored_index(lineage) == index_of([*decisions, appended])


def test_a_known_verdict_is_found_with_and_without_it(lineage: Lineage) -> None:
    """Those since the champion changed: the same as by reading all records."""
    decisions = list(newest_first(lineage))[::-1]
    key = layout.decision_index_key(lineage.pipeline)
    commits = sorted({one.commit for one in decisions})
    for length in range(1, len(KINDS) + 1):
        found: list[list[Decision | None]] = []
        for data in (index_of(decisions[:length]).to_json(), b"{}"):
            for number in range(length + 1, len(KINDS) + 1):
                lineage.store.delete(layout.decision_key(lineage.pipeline, number))
            lineage.store.put(key, data)
            found.append([known_verdict(lineage, one, GateSpec(), decisions[length - 1].state) for one in commits])
        assert found[0] == found[1]
        for one in decisions[length:]:
            lineage.store.put(layout.decision_key(lineage.pipeline, one.number), one.to_json())


@pytest.mark.parametrize("data", [b"", b"{}", DecisionIndex(records=3, last="0" * 64).to_json(), None])
def test_one_that_is_wrong_does_no_harm(lineage: Lineage, data: bytes | None) -> None:
    key = layout.decision_index_key(lineage.pipeline)
    if data is None:
        wrong = index_of(newest_first(lineage)).model_copy(update={"records": len(KINDS)})
        data = wrong.to_json()
    lineage.store.put(key, data)
    last = last_decision(lineage)
    assert last is not None and last.number == len(KINDS)
    assert [one.number for one in newest_first(lineage)] == list(range(len(KINDS), 0, -1))
