"""Judging commits by what they record: every condition, what is not compared, and verdicts that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import MissingKey
from orchestrator.lineage.decisions import append_decision, decision_state
from orchestrator.lineage.lineage import Lineage
from orchestrator.updates.gate import find, judge, why
from orchestrator.updates.gate_evidence import Evidence
from orchestrator.updates.promotion import promote
from pipelines.config.sections.gate_section import GateSpec
from pipelines.gating.calibration_change import CalibrationChange
from pipelines.gating.paired_tests import PairedCounts
from tests.orchestrator.updates.answered_commits import open_lineage, recorded_decisions, write_answered


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return open_lineage(tmp_path)


def found(decision: Any) -> dict[str, str]:
    return {f"{f['condition']} {f['subject']}".strip(): f["outcome"] for f in decision.evidence["findings"]}


def test_each_old_experience_is_judged_and_a_gain_elsewhere_does_not_hide_its_loss(lineage: Lineage) -> None:
    first = write_answered(lineage, None, [0.8])
    champion = write_answered(lineage, first, [0.8, 0.5])
    promote(lineage, champion.id)
    mixed = write_answered(lineage, champion, [0.6, 0.9, 0.9])
    verdict = judge(lineage, mixed.id)
    assert verdict.outcome == "refused" and verdict.champion == champion.id
    assert found(verdict) == {
        "score": "passed",
        "forgetting experience 0": "refused",
        "forgetting experience 1": "passed",
    }
    assert verdict.reason == "forgetting of experience 0 -0.2 (limit -0.05)"
    gaps: Any = verdict.evidence["gaps"]
    assert gaps == [f"score: commit {champion.id[:12]} was not asked the test sets of experience 2"]
    assert judge(lineage, mixed.id, GateSpec(forgetting=None)).outcome == "passed"


def test_a_verdict_is_kept_until_the_conditions_or_the_champion_change(lineage: Lineage) -> None:
    first = write_answered(lineage, None, [0.8])
    promote(lineage, first.id)
    good = write_answered(lineage, first, [0.85, 0.9])
    verdict = judge(lineage, good.id)
    assert judge(lineage, good.id) == verdict
    assert judge(lineage, good.id, GateSpec(promote="automatic")) == verdict
    other = judge(lineage, good.id, GateSpec(negative_flips=0.5))
    assert (other.number, other.state.tests) == (verdict.number + 1, 2)
    promote(lineage, good.id)
    assert judge(lineage, good.id).reason == "it is the champion"
    assert [one["kind"] for one in recorded_decisions(lineage)].count("verdict") == 4


def test_the_budget_of_refusals_is_spent_over_verdicts(lineage: Lineage) -> None:
    first = write_answered(lineage, None, [0.8])
    promote(lineage, first.id)
    levels = []
    for share in (0.81, 0.82, 0.4, 0.83):
        verdict = judge(lineage, write_answered(lineage, first, [share, 0.9]).id)
        findings: Any = verdict.evidence["findings"]
        levels.append(findings[0]["level"])
    assert levels[0] > levels[1] and levels[3] > levels[1]
    assert (decision_state(lineage).tests, decision_state(lineage).refused) == (4, (3,))


def test_other_test_sets_are_not_compared(lineage: Lineage) -> None:
    first = write_answered(lineage, None, [0.8])
    promote(lineage, first.id)
    other = write_answered(
        lineage,
        None,
        [0.9],
        spec={"seed": 1},
        row=[{"experience": 0, "test": "another test set", "correct": 1800, "total": 2000}],
    )
    verdict = judge(lineage, other.id)
    assert (verdict.outcome, verdict.reason) == ("undecided", "no test samples were answered by both models")


def test_a_commit_must_be_there(lineage: Lineage) -> None:
    with pytest.raises(MissingKey):
        judge(lineage, "0" * 64)
    assert recorded_decisions(lineage) == []


def test_every_condition_of_the_file_becomes_a_finding() -> None:
    evidence = Evidence(
        experiences={0: PairedCounts(10, 10, 1000), 1: PairedCounts(0, 500, 1000)},
        old={0},
        classes={4: PairedCounts(90, 0, 100), 5: PairedCounts(9, 0, 10)},
        calibration=CalibrationChange(0.02, 0.03, 0.002),
        ratios=[1.1] * 40,
        size=1.5,
    )
    gate = GateSpec.model_validate(
        {"negative_flips": 0.1, "calibration": 0.1, "latency": 1.5, "size": 2, "slices": {"minimum": 50}}
    )
    findings = find(evidence, gate, 0.01)
    assert [(f.condition, f.subject, f.outcome) for f in findings] == [
        ("score", "", "passed"),
        ("forgetting", "experience 0", "passed"),
        ("negative_flips", "", "passed"),
        ("calibration", "", "passed"),
        ("slices", "class 4", "refused"),
        ("latency", "", "passed"),
        ("size", "", "passed"),
    ]
    assert {f.level for f in findings if f.level is not None} == {0.01 / 6}
    assert why(findings) == "slices of class 4 -0.9 (limit -0.1)"
    assert [f.condition for f in find(evidence, GateSpec(forgetting=None), 0.01)] == ["score"]


def test_few_samples_are_said_to_be_few() -> None:
    few = find(Evidence(experiences={0: PairedCounts(1, 1, 40)}, old={0}), GateSpec(), 0.01)
    assert why(few).startswith("score +0 (limit -0.01): 40 samples cannot tell; about ")
    within = find(Evidence(experiences={0: PairedCounts(20, 200, 3000)}, old=set()), GateSpec(), 0.01)
    assert why(within) == "score +0.06 (limit -0.01)"
    chance = find(
        Evidence(experiences={0: PairedCounts(8, 0, 100), 1: PairedCounts(0, 200, 2000)}, old={0}), GateSpec(), 1e-5
    )
    assert why(chance) == "forgetting of experience 0 -0.08 (limit -0.05), which may be chance"


def test_a_record_needs_its_commit(lineage: Lineage) -> None:
    first = write_answered(lineage, None, [0.8])
    promote(lineage, first.id)
    assert append_decision(lineage, kind="verdict", commit=first.id, state=decision_state(lineage)).champion == first.id
