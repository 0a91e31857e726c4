"""Scores of several labels against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from strategies.metrics import find_score
from strategies.metrics.multi_label_scores import hamming_loss, micro_f1, subset_accuracy

RANDOM = np.random.default_rng(5)
VALUES, TRUTH = RANDOM.random((61, 4)), (RANDOM.random((61, 4)) < 0.3).astype(float)


def test_they_are_those_of_scikit_learn() -> None:
    predicted = VALUES > 0.5
    assert micro_f1(VALUES, TRUTH) == pytest.approx(metrics.f1_score(TRUTH, predicted, average="micro"))
    assert subset_accuracy(VALUES, TRUTH) == pytest.approx(metrics.accuracy_score(TRUTH, predicted))
    assert hamming_loss(VALUES, TRUTH) == pytest.approx(metrics.hamming_loss(TRUTH, predicted))


def test_nothing_right_and_nothing_predicted_is_not_defined() -> None:
    score = find_score("micro_f1")
    assert score is not None and score.value(np.zeros((3, 2)), np.zeros((3, 2))) is None
