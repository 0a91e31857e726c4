"""The metrics of a stream over any score, from the matrix of the accuracy with its signs turned."""

from __future__ import annotations

import math

import numpy as np
import pytest

from strategies.metrics import RunningMetrics as Running
from strategies.metrics import Score, all_metrics, find_metric, find_score, metric_names, metrics_for, metrics_in

R = np.array([[0.9, 0.3, 0.2], [0.6, 0.8, 0.1], [0.7, 0.5, 0.95]])
B = [0.1, 0.2, 0.3]


def along(score: Score | None, R: np.ndarray) -> dict[str, float | None]:
    running = Running() if score is None else Running(score)
    for k in range(len(R)):
        found = running.add(R[k], R[k - 1, k] if k else math.nan, B[k])
    return found


def test_accuracy_keeps_its_records() -> None:
    assert metrics_for() == metrics_for([find_score("accuracy") or Score("")]) == all_metrics()


def test_lower_is_better_keeps_the_unit_and_turns_the_differences() -> None:
    mae = find_score("mae")
    assert mae is not None
    higher, lower = along(None, R), along(mae, R)
    assert lower["average_mae"] == pytest.approx(R[2].mean()) and lower["learning_mae"] == pytest.approx(2.65 / 3)
    assert lower["worst_mae"] == pytest.approx(0.95)  # the largest error
    assert lower["average_incremental_mae"] == pytest.approx(higher["average_incremental_accuracy"])
    # The error on experience 0 fell from 0.9 to its best, 0.6, and rose to 0.7; that on 1 fell.
    assert lower["forgetting"] == pytest.approx(((0.7 - 0.6) + (0.5 - 0.8)) / 2)
    assert lower["backward_transfer"] == pytest.approx(-(higher["backward_transfer"] or 0))
    assert lower["forward_transfer"] == pytest.approx(((0.2 - 0.3) + (0.3 - 0.1)) / 2)


@pytest.mark.parametrize("name", ["mae", "r2"])
def test_names_units_and_directions_are_those_of_the_score(name: str) -> None:
    score = find_score(name)
    assert score is not None
    found = {metric.name: metric for metric in metrics_for([score])}
    level = found[f"average_{name}"]
    assert (level.unit, level.better) == ("number", score.better)
    assert (found["forgetting"].unit, found["forgetting"].better) == ("number", "lower")
    assert (found["backward_transfer"].unit, found["backward_transfer"].better) == ("signed number", "higher")
    assert found[name].scope == "scores"
    assert not any("accuracy" in metric.name for metric in found.values() if metric.scope == "matrix")
    for metric in found.values():
        if name in metric.name:
            known = find_metric(metric.name)
            assert known is not None and (known.unit, known.better) == (metric.unit, metric.better)


def test_a_set_of_names_tells_its_score() -> None:
    mae, accuracy = find_score("mae"), find_score("accuracy")
    assert mae is not None and accuracy is not None
    for scores in ([accuracy], [mae], [accuracy, mae], [mae, accuracy]):
        names = [metric.name for metric in metrics_for(scores)]
        assert len(set(names)) == len(names)
        told = metrics_in([*names, "unheard_of"])
        assert [metric.name for metric in told] == names
        assert [metric.unit for metric in told] == [metric.unit for metric in metrics_for(scores)]
    assert "average_mae" in [metric.name for metric in metrics_for([accuracy, mae])]
    assert metric_names()[0] == "average_accuracy"
