"""Scores by name.

Covers: `strategies/metrics/score.py`
"""

from __future__ import annotations

import pytest

from strategies.metrics import Score, all_scores, declare, find_metric, find_score
from strategies.registry import OBJECTIVES


def test_names_are_unique_and_say_what_they_are() -> None:
    names = [score.name for score in all_scores()]
    assert len(set(names)) == len(names)
    for score in all_scores():
        assert score.meaning and score.definition and score.source and score.objectives
        assert len(score.meaning) <= 60
    assert {score.name for name in OBJECTIVES for score in all_scores(name)}


def test_a_parameter_follows_the_name() -> None:
    score = find_score("quantile_loss@quantile=0.9")
    assert score is not None and score.name == "quantile_loss@quantile=0.9" and score.better == "lower"
    for wrong in ("quantile_loss@quantile=x", "quantile_loss@quantile=nan", "quantile_loss@q=0.5", "mae@quantile=0.5"):
        assert find_score(wrong) is None


def test_own_scores_are_known_once_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strategies.metrics.score_registry._declared", {})
    assert find_score("gini") is None and find_metric("average_gini") is None
    own = declare(Score("gini", unit="number", better="lower"))
    assert find_score("gini") is own
    metric = find_metric("average_gini")
    assert metric is not None and (metric.unit, metric.better) == ("number", "lower")
    # A name of Everlearn keeps its meaning.
    declare(Score("mae", unit="fraction"))
    found = find_score("mae")
    assert found is not None and found.unit == "number"
