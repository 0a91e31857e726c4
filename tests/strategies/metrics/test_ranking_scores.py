"""Scores of probabilities of classes and labels against scikit-learn.

Covers: `strategies/metrics/class_decisions.py`
Covers: `strategies/metrics/probability_scores.py`
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from strategies.metrics import all_scores, find_score


def of(name: str, values: Any, truth: Any) -> float | None:
    score = find_score(name)
    assert score is not None, name
    return score.value(np.asarray(values, dtype=np.float64), np.asarray(truth, dtype=np.float64))


@st.composite
def samples(draw: st.DrawFn, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with ties, and classes, all of which occur."""
    n = draw(st.integers(2 * classes, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = random.integers(1, 6, (n, classes)).astype(np.float64)
    return values / values.sum(1, keepdims=True), random.permutation(np.arange(n) % classes)


def at_least(score: np.ndarray, bound: np.ndarray, least: float) -> float:
    return float(score[bound >= least].max(initial=0.0))


@settings(max_examples=40, deadline=None)
@given(samples(2), st.sampled_from([0.2, 0.5, 0.9]))
def test_two_classes(drawn: tuple[np.ndarray, np.ndarray], level: float) -> None:
    values, truth = drawn
    p, decided = values[:, 1], values.argmax(1)
    curve = [part[:-1] for part in metrics.precision_recall_curve(truth, p)[:2]]
    expected = {
        "auroc": metrics.roc_auc_score(truth, p),
        "average_precision": metrics.average_precision_score(truth, p),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, decided),
        "f1": metrics.f1_score(truth, decided, zero_division=0),
        "precision": metrics.precision_score(truth, decided, zero_division=0),
        "recall": metrics.recall_score(truth, decided),
        f"f1@threshold={level}": metrics.f1_score(truth, p > level, zero_division=0),
        f"recall@threshold={level}": metrics.recall_score(truth, p > level),
        f"precision@threshold={level}": metrics.precision_score(truth, p > level, zero_division=0),
        "precision@class=0": metrics.precision_score(truth, decided, pos_label=0, zero_division=0),
        "recall@class=0": metrics.recall_score(truth, decided, pos_label=0),
        "auroc@class=0": metrics.roc_auc_score(truth == 0, values[:, 0]),
        f"recall@precision={level}": at_least(curve[1], curve[0], level),
        f"precision@recall={level}": at_least(curve[0], curve[1], level),
        "log_loss": metrics.log_loss(truth, values),
        "brier": metrics.brier_score_loss(truth, p),
    }
    for name, value in expected.items():
        assert of(name, values, truth) == pytest.approx(value, rel=1e-9, abs=1e-12), name
    order = np.random.default_rng(0).permutation(len(values))
    for name in ("auroc", "average_precision", "f1", f"recall@precision={level}"):
        assert of(name, values[order], truth[order]) == of(name, values, truth), name


@settings(max_examples=25, deadline=None)
@given(samples(4))
def test_several_classes(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    values, truth = drawn
    decided, hot = values.argmax(1), truth[:, None] == np.arange(4)
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    expected = {
        "auroc": metrics.roc_auc_score(truth, values, multi_class="ovr"),
        "average_precision": metrics.average_precision_score(hot, values),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, decided),
        "macro_f1": metrics.f1_score(truth, decided, **macro),
        "f1": metrics.f1_score(truth, decided, **macro),
        "precision": metrics.precision_score(truth, decided, **macro),
        "recall": metrics.recall_score(truth, decided, **macro),
        "f1@class=2": metrics.f1_score(truth, decided, labels=[2], **macro),
        "average_precision@class=3": metrics.average_precision_score(truth == 3, values[:, 3]),
        "log_loss": metrics.log_loss(truth, values),
        "brier": metrics.brier_score_loss(truth, values),
    }
    for name, value in expected.items():
        assert of(name, values, truth) == pytest.approx(value, rel=1e-9, abs=1e-12), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_several_labels(seed: int) -> None:
    random = np.random.default_rng(seed)
    values, truth = random.integers(0, 9, (30, 3)) / 8, random.random((30, 3)) < 0.4
    truth[0], truth[1] = True, False
    decided = values > 0.5
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    expected = {
        "auroc": metrics.roc_auc_score(truth, values),
        "average_precision": metrics.average_precision_score(truth, values),
        "macro_f1": metrics.f1_score(truth, decided, **macro),
        "micro_f1": metrics.f1_score(truth, decided, average="micro"),
        "precision": metrics.precision_score(truth, decided, **macro),
        "recall": metrics.recall_score(truth, decided, **macro),
        "recall@class=1": metrics.recall_score(truth[:, 1], decided[:, 1]),
        "precision@threshold=0.25": metrics.precision_score(truth, values > 0.25, **macro),
        "subset_accuracy": metrics.accuracy_score(truth, decided),
        "hamming_loss": metrics.hamming_loss(truth, decided),
    }
    for name, value in expected.items():
        assert of(name, values, truth) == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_calibration_is_that_of_the_counts() -> None:
    values = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.65, 0.35]]
    # 0.9 and 0.8 are right, 0.6 and 0.65 wrong; each is in a bin of its own.
    expected = (0.1 + 0.2 + 0.6 + 0.65) / 4
    assert of("expected_calibration_error", values, [0, 0, 0, 1]) == pytest.approx(expected)


def test_what_is_not_defined_is_none() -> None:
    one_class, truth = [[0.3, 0.7], [0.6, 0.4]], [1, 1]
    assert [of(name, one_class, truth) for name in ("auroc", "average_precision", "recall@precision=0.5")] == [None] * 3
    assert of("recall", one_class, truth) == 0.5 and of("recall", one_class, [0, 0]) == 0.0
    for name in ("recall@class=5", "auroc@class=-1", "f1@class=0.5"):
        assert of(name, one_class, truth) is None
    for score in all_scores("classification"):
        assert score.value(np.full((2, 2), math.nan), np.array([0.0, 1.0])) is None
