"""The JSON documents of a search and of a comparison."""

import json

import pytest

from orchestrator.tuning.search_result import Best, Compared, CompareResult, TuneResult
from orchestrator.tuning.trial_record import TrialRecord


def record(seed: int, accuracy: float | None, state: str = "done") -> TrialRecord:
    history = [{"average_accuracy": accuracy, "forgetting": None}]
    return TrialRecord.model_validate({"number": seed, "seeds": [seed], "state": state, "history": history})


def test_a_search() -> None:
    best = Best(1, {"a.b": 2}, {"average_accuracy": 0.75}, {"average_accuracy": 0.8}, ["c" * 64], 5, 0)
    result = TuneResult("p", ("average_accuracy",), ("max",), best, [record(0, 0.5)], [], 4, 1, 2.5, {"uri": "u"})
    document = json.loads(json.dumps(result.to_json()))
    assert document["pipeline"] == "p" and document["metric"] == ["average_accuracy"] and document["mode"] == ["max"]
    assert document["best"] == {
        "number": 1, "settings": {"a.b": 2}, "metrics": {"average_accuracy": 0.75},
        "validation": {"average_accuracy": 0.8}, "lineage": ["c" * 64], "trained": 5, "reused": 0,
    }  # fmt: skip
    assert [trial["metrics"] for trial in document["trials"]] == [{"average_accuracy": 0.5, "forgetting": None}]
    assert (document["trained"], document["reused"], document["seconds"]) == (4, 1, 2.5)


def test_of_a_comparison_the_runs_count_that_came_to_the_end() -> None:
    runs = [record(0, 0.8), record(1, 0.9), record(2, 0.1, "failed")]
    compared = Compared("p", runs, {"average_accuracy": 0.88})
    assert compared.done == runs[:2]
    assert compared.metrics["average_accuracy"] == pytest.approx(0.85) and compared.metrics["forgetting"] is None
    assert compared.deviation["average_accuracy"] == pytest.approx(0.005**0.5)
    document = json.loads(json.dumps(CompareResult([compared], 8, 2, 3.0, {}).to_json()))
    (one,) = document["pipelines"]
    accuracy = one["metrics"]["average_accuracy"]
    assert accuracy["values"] == [0.8, 0.9] and accuracy["published"] == 0.88
    assert "published" not in one["metrics"]["forgetting"]
    assert one["seeds"] == [0, 1, 2] and len(one["runs"]) == 3


def test_a_single_run_has_no_deviation() -> None:
    assert Compared("p", [record(0, 0.8)]).deviation["average_accuracy"] is None
    assert Compared("p", []).metrics["average_accuracy"] is None
