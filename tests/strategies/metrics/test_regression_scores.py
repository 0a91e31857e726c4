"""Scores of predicted numbers against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from strategies.metrics import all_scores, find_score


@pytest.mark.parametrize("targets", [1, 3])
def test_they_are_those_of_scikit_learn(targets: int) -> None:
    random = np.random.default_rng(targets)
    truth, values = random.normal(2, 3, (57, targets)), random.normal(2, 3, (57, targets))
    expected = {
        "mae": metrics.mean_absolute_error(truth, values),
        "rmse": metrics.root_mean_squared_error(truth, values),
        "r2": metrics.r2_score(truth, values),
        "quantile_loss": metrics.mean_pinball_loss(truth, values),
        "quantile_loss@quantile=0.9": metrics.mean_pinball_loss(truth, values, alpha=0.9),
    }
    for name, value in expected.items():
        score = find_score(name)
        assert score is not None and score.value(values, truth) == pytest.approx(value, rel=1e-12)
        if targets == 1:
            assert score.value(values, truth[:, 0]) == pytest.approx(value, rel=1e-12)
    assert {name.split("@")[0] for name in expected} == {score.name for score in all_scores("regression")}


def test_what_is_not_defined_is_none() -> None:
    r2 = find_score("r2")
    assert r2 is not None
    assert r2.value(np.ones((3, 1)), np.ones(3)) is None
    assert r2.value(np.ones((0, 1)), np.ones(0)) is None
    assert r2.value(np.array([[1.0], [math.inf]]), np.array([1.0, 2.0])) is None
