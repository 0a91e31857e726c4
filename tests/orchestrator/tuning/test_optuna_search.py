"""Optuna's proposals, which continue an earlier search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
import pytest

from orchestrator.tuning.optuna_search import KeptOptunaSearch
from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.sections.tune_section import domain

SPACE = {"a": domain({"uniform": [0, 1]}), "kind": domain({"choice": ["x", [1]]})}


def search(
    past: Sequence[TrialRecord] = (), again: Sequence[TrialRecord] = (), metrics: tuple[str, ...] = ("forgetting",)
) -> tuple[KeptOptunaSearch, dict[int, dict[str, Any]]]:
    proposed: dict[int, dict[str, Any]] = {}
    made = KeptOptunaSearch(
        SPACE, metrics, ("min",) * len(metrics), seed=3, past=past, again=again, seeds=[5, 6],
        propose=proposed.__setitem__,
    )  # fmt: skip
    return made, proposed


def record(number: int, state: str, forgetting: float | None = 0.5) -> TrialRecord:
    history = [{"forgetting": forgetting, "average_accuracy": 0.5}]
    settings = {"a": 0.1 * number, "kind": "x"}
    return TrialRecord.model_validate({"number": number, "state": state, "settings": settings, "history": history})


def suggested(made: KeptOptunaSearch, trial: str) -> Proposal:
    found = made.suggest(trial)
    assert found is not None
    return Proposal.of(found)


def states(made: KeptOptunaSearch) -> list[str]:
    return [trial.state.name for trial in made._ot_study.trials]


def test_proposals_lie_in_the_space_and_are_reported() -> None:
    made, proposed = search()
    for number in range(5):
        proposal = suggested(made, f"t{number}")
        assert (proposal.number, list(proposal.seeds)) == (number, [5, 6])
        assert 0 <= proposal.settings["a"] <= 1 and proposal.settings["kind"] in ("x", [1])
        assert proposed[number] == proposal.settings


def test_what_was_done_is_known_and_what_was_begun_is_proposed_again_first() -> None:
    past = [record(0, "done"), record(1, "done", None), record(2, "stopped"), record(4, "failed")]
    made, proposed = search(past, [record(3, "running")])
    # Only a trial that came to the end says something about the objective.
    assert states(made) == ["COMPLETE"]
    assert suggested(made, "t0").settings == record(3, "running").settings and list(proposed) == [3]
    assert suggested(made, "t1").number == 5


def test_a_later_invocation_begins_with_other_random_trials() -> None:
    first, _ = search()
    second, _ = search([record(0, "done")])
    same, _ = search()
    drawn = [suggested(made, "t").settings["a"] for made in (first, second, same)]
    assert drawn[0] != drawn[1] and drawn[0] == drawn[2]


@pytest.mark.parametrize("metrics", [("forgetting",), ("forgetting", "average_accuracy")])
def test_a_trial_counts_when_it_came_to_the_end_of_the_stream(metrics: tuple[str, ...]) -> None:
    made, _ = search(metrics=metrics)
    for number in range(4):
        made.suggest(f"t{number}")
    values = {"forgetting": 0.1, "average_accuracy": 0.9}
    made.on_trial_result("t0", {**values, "complete": False})
    made.on_trial_complete("t0", {**values, "complete": True})
    made.on_trial_complete("t1", {**values, "complete": False})
    made.on_trial_complete("t2", None, error=True)
    made.on_trial_complete("unknown", {**values, "complete": True})
    assert states(made) == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert made._ot_study.trials[0].values == [values[name] for name in metrics]
    assert made._ot_study.directions == [optuna.study.StudyDirection.MINIMIZE] * len(metrics)
