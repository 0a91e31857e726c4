"""What fsck says of decisions.

Covers: `orchestrator/maintenance/copy_decisions.py`
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.lineage import layout
from orchestrator.lineage.decisions import Decision, newest_first, read_decision
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_decisions import decision_problems
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.repair_store import repair
from orchestrator.updates.promotion import promote, rollback
from tests.orchestrator.maintenance.lineages import age, folder, grow


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    """Three commits: the second was promoted after the first, and rolled back."""
    found = folder(tmp_path)
    chain = grow(found, 3)
    promote(found, chain[0].id)
    promote(found, chain[1].id, force=True, reason="try it")
    rollback(found, reason="worse")
    return found


def key(lineage: Lineage, number: int) -> str:
    return layout.decision_key(lineage.pipeline, number)


def changed(lineage: Lineage, number: int, **changes: object) -> None:
    decision = read_decision(lineage, number)
    assert decision is not None
    fields = {**decision.model_dump(mode="json"), **changes}
    del fields["checksum"]
    lineage.store.put(key(lineage, number), Decision.create(**fields).to_json())


@pytest.mark.parametrize(
    ("harm", "where", "problem"),
    [
        (lambda lineage: lineage.store.delete(key(lineage, 2)), 2, "missing: later decisions follow it"),
        (lambda lineage: lineage.store.put(key(lineage, 2), b"{}"), 2, "damaged: its checksum is wrong"),
        (lambda lineage: changed(lineage, 2, reason="better"), 3, "the history was changed"),
        (lambda lineage: changed(lineage, 4, reason="better", state={}), 4, "does not follow"),
        (lambda lineage: lineage.store.put(key(lineage, 9), lineage.store.get(key(lineage, 4))), 9, "another number"),
    ],
)
def test_a_broken_chain_is_reported(
    lineage: Lineage, harm: Callable[[Lineage], None], where: int, problem: str
) -> None:
    assert decision_problems(lineage) == [] and not fsck(lineage).damage and not fsck(lineage).unknown
    harm(lineage)
    found = dict(decision_problems(lineage))
    assert problem in found[key(lineage, where)]
    assert {damage.key for damage in fsck(lineage).damage} == set(found)


def test_an_index_that_does_not_follow_is_reported_and_made_anew(lineage: Lineage) -> None:
    index = layout.decision_index_key(lineage.pipeline)
    whole = lineage.store.get(index)
    for data in (b"", whole.replace(b'"records":4', b'"records":3'), whole.replace(b'"promotion":3', b'"promotion":1')):
        lineage.store.put(index, data)
        assert [(one.key, one.problem[:19]) for one in fsck(lineage).damage] == [(index, "does not agree with")]
        repair(lineage, fsck)
        assert not lineage.store.exists(index) and fsck(lineage).damage == []
    commit = next(newest_first(lineage)).commit
    promote(lineage, sorted(lineage.commits())[0], force=True, reason="again")
    rollback(lineage, to=commit, reason="and back")
    assert lineage.store.exists(index) and fsck(lineage).damage == []


def test_gc_keeps_decisions_the_champion_and_the_one_before_it(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    first, second = grow(lineage, 2, ref=None)
    other = grow(lineage, 1, variant=1, ref=None)[0]
    useless = grow(lineage, 1, variant=2, ref=None)[0]
    promote(lineage, second.id)
    promote(lineage, other.id, force=True, reason="another branch")
    age(lineage)
    done = collect(lineage, keep=1)
    assert done.commits == [useless.id] and done.thinned == [first.id]
    assert len(list(newest_first(lineage))) == 3
    assert rollback(lineage, reason="no").commit == second.id


def test_decisions_are_copied_and_the_champion_goes_back_there_too(lineage: Lineage, tmp_path: Path) -> None:
    target = folder(tmp_path / "target")
    done = copy(lineage, target)
    assert done.decisions == 4 and done.problems == []
    assert list(newest_first(target)) == list(newest_first(lineage))
    assert not fsck(target).damage
    latest = lineage.ref("latest")
    assert latest is not None
    third = latest.commit
    promote(lineage, third, force=True, reason="newer")
    assert copy(lineage, target).decisions == 1 and target.stands("champion", third)
    rollback(lineage, reason="worse again")
    again = copy(lineage, target)
    assert again.decisions == 1 and not target.stands("champion", third)
    assert copy(lineage, target).decisions == 0
    # A destination that is ahead keeps its decisions, one that decided otherwise says so.
    promote(target, third, force=True, reason="here only")
    assert copy(lineage, target).problems == [] and target.stands("champion", third)
    promote(lineage, third, force=True, reason="and there")
    assert "the destination has others" in copy(lineage, target).problems[0]
    assert next(newest_first(target)).reason == "here only"


def test_a_damaged_history_is_not_copied(lineage: Lineage, tmp_path: Path) -> None:
    lineage.store.delete(key(lineage, 2))
    target = folder(tmp_path / "target")
    assert "the history was changed" in copy(lineage, target).problems[0]
    assert list(target.store.list(layout.decisions_prefix("digits"))) == []
