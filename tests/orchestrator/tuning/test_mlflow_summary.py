"""What MLflow shows of a search or a comparison as a whole."""

from __future__ import annotations

import json
import random

from orchestrator.tuning.mlflow_summary import comparison_closing, search_closing
from orchestrator.tuning.search_result import Best, Compared, CompareResult, TuneResult
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.sections.tune_section import domain

SPACE = {"strategy.ewc.lambda": domain({"loguniform": [1, 10000]}), "a/b c": domain({"uniform": [0, 1]})}


def trials(count: int) -> list[TrialRecord]:
    draw = random.Random(0)
    made = []
    for number in range(count):
        settings = {"strategy.ewc.lambda": 10 ** draw.uniform(0, 4), "a/b c": draw.random()}
        metrics: dict[str, float | None] = {"average_accuracy": draw.random(), "forgetting": None}
        made.append(
            TrialRecord(
                number=number, settings=settings, seeds=[number], state="done", history=[metrics], ended=1000 + number
            )
        )
    return made


def result(count: int, *metrics: str) -> TuneResult:
    settings = {"strategy.ewc.lambda": 10.0, "a/b c": 0.5}
    found: dict[str, float | None] = {"average_accuracy": 0.75, "forgetting": None}
    best = Best(1, settings, found, {"average_accuracy": 0.8}, ["0" * 64, "a" * 64], 5, 0)
    return TuneResult("x", metrics, ("max",) * len(metrics), best, trials(count), [1], 4, 1, 2.0, {})


def test_a_search_shows_its_best_its_figures_and_all_trials() -> None:
    closing = search_closing(result(3, "average_accuracy"), SPACE)
    assert set(closing.files) == {
        "trials.json", "figures/objective_strategy.ewc.lambda.png", "figures/objective_a_b_c.png",
    }  # fmt: skip
    assert len(json.loads(closing.files["trials.json"])) == 3
    assert closing.metrics == {
        "best/average_accuracy": 0.75, "best/validation_average_accuracy": 0.8, "progress/trained": 4.0,
        "progress/reused": 1.0,
    }  # fmt: skip
    assert (closing.best, closing.commit, closing.time) == (1, "a" * 64, 1002)
    assert "trial 1" in closing.note and "commit `aaaaaaaaaaaa`" in closing.note and "3 trials" in closing.note


def test_with_several_objectives_and_enough_trials_there_are_more_figures() -> None:
    closing = search_closing(result(20, "average_accuracy", "forgetting"), SPACE)
    assert {"figures/pareto_front.png", "figures/importance.png", "importance.json"} <= closing.files.keys()
    assert "Importance: " in closing.note
    shares = json.loads(closing.files["importance.json"])
    assert set(shares) == set(SPACE)


def test_a_comparison_shows_its_table() -> None:
    compared = Compared("one", trials(2))
    closing = comparison_closing(CompareResult([compared], 2, 0, 1.0, {}))
    assert set(closing.files) == {"comparison.json", "comparison.txt"}
    table = closing.files["comparison.txt"].decode()
    assert "one" in table and table.rstrip("\n") in closing.note
    assert closing.metrics["mean/one/average_accuracy"] == compared.metrics["average_accuracy"]
    assert "mean/one/forgetting" not in closing.metrics and closing.time == 1001
