import pytest

from orchestrator.tuning.trial_score import best, deviation, mean, pareto_front

TRIALS: dict[int, dict[str, float | None]] = {
    0: {"average_accuracy": 0.8, "forgetting": 0.3},
    1: {"average_accuracy": 0.9, "forgetting": 0.4},
    2: {"average_accuracy": 0.7, "forgetting": 0.35},
    3: {"average_accuracy": 0.9, "forgetting": 0.4},
    4: {"average_accuracy": None, "forgetting": 0.0},
    5: {"average_accuracy": 0.6, "forgetting": 0.1},
}


def test_the_best_is_the_first_of_the_highest_or_lowest() -> None:
    assert best(TRIALS, "average_accuracy", "max") == 1
    assert best(TRIALS, "forgetting", "min") == 4
    assert best({4: TRIALS[4]}, "average_accuracy", "max") is None
    assert best({}, "forgetting", "min") is None


def test_the_front_holds_what_nothing_beats() -> None:
    assert pareto_front(TRIALS, ["average_accuracy", "forgetting"], ["max", "min"]) == [0, 1, 5]
    assert pareto_front(TRIALS, ["average_accuracy"], ["max"]) == [1]


def test_means_and_deviations_over_seeds() -> None:
    values = [{"average_accuracy": 0.8, "forgetting": None}, {"average_accuracy": 0.9, "forgetting": None}]
    assert mean(values)["average_accuracy"] == pytest.approx(0.85)
    assert deviation(values)["average_accuracy"] == pytest.approx(0.0707106781)
    assert mean(values)["forgetting"] is None and deviation(values[:1])["average_accuracy"] is None
