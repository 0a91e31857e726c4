"""Scores of decisions for classes: precision, recall and F1, of one class, as means over classes, and at a threshold.

Values are (n, c) probabilities. Truth is (n,) classes or (n, c) of 0 and 1. The class of the highest probability is
decided for, or each label with more than 0.5. With two classes, the scores are those of class 1; with more, or with
several labels, means over the classes that occur or are decided for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from strategies.metrics.ranking_scores import Marks, against_the_rest, columns, is_unit

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values

Counts = tuple[int, int, int]
"""Samples that are right, that were decided for, and that there are, of one class."""


def balanced_accuracy(values: Values, truth: Values) -> float:
    """Mean over the classes that occur of their recall (Brodersen et al. 2010)."""
    found = [_recall(counts) for counts in _each(values, truth) if counts[2]]
    return sum(found) / len(found) if found else math.nan


def macro_f1(values: Values, truth: Values) -> float:
    """Mean of the F1 of the classes that occur or are decided for (Opitz & Burst 2019, equation 2)."""
    return _mean(_f1, _each(values, truth))


def precision(values: Values, truth: Values) -> float:
    """Share of the samples decided for the class that are of it; 0 where none are decided for."""
    return _mean(_precision, _positive(_each(values, truth), values, truth))


def recall(values: Values, truth: Values) -> float:
    """Share of the samples of the class that are decided for it."""
    return _mean(_recall, _positive(_each(values, truth), values, truth))


def f1(values: Values, truth: Values) -> float:
    """2 TP / (2 TP + FP + FN)."""
    return _mean(_f1, _positive(_each(values, truth), values, truth))


def precision_of(unit: float, values: Values, truth: Values) -> float:
    """`precision` of one class."""
    return _of_class(_precision, unit, values, truth)


def recall_of(unit: float, values: Values, truth: Values) -> float:
    """`recall` of one class."""
    return _of_class(_recall, unit, values, truth)


def f1_of(unit: float, values: Values, truth: Values) -> float:
    """`f1` of one class."""
    return _of_class(_f1, unit, values, truth)


def precision_above(threshold: float, values: Values, truth: Values) -> float:
    """`precision`, where each class is decided for whose probability is above the threshold."""
    return _mean(_precision, _above(threshold, values, truth))


def recall_above(threshold: float, values: Values, truth: Values) -> float:
    """`recall`, where each class is decided for whose probability is above the threshold."""
    return _mean(_recall, _above(threshold, values, truth))


def f1_above(threshold: float, values: Values, truth: Values) -> float:
    """`f1`, where each class is decided for whose probability is above the threshold."""
    return _mean(_f1, _above(threshold, values, truth))


def _each(values: Values, truth: Values) -> list[Counts]:
    """Of each class or label."""
    decided: Marks = values > 0.5
    if truth.ndim == 1:
        decided = values.argmax(1)[:, None] == np.arange(values.shape[1])
    return [_counts(decided[:, unit], against_the_rest(unit, values, truth)[1]) for unit in range(values.shape[1])]


def _positive(each: list[Counts], values: Values, truth: Values) -> list[Counts]:
    return each[1:] if truth.ndim == 1 and values.shape[1] == 2 else each


def _above(threshold: float, values: Values, truth: Values) -> list[Counts]:
    return [_counts(v > threshold, t) for v, t in columns(values, truth)]


def _counts(decided: Marks, actual: Marks) -> Counts:
    return int((decided & actual).sum()), int(decided.sum()), int(actual.sum())


def _precision(counts: Counts) -> float:
    right, decided, _ = counts
    return right / decided if decided else 0.0


def _recall(counts: Counts) -> float:
    right, _, actual = counts
    return right / actual if actual else 0.0


def _f1(counts: Counts) -> float:
    right, decided, actual = counts
    return 2 * right / (decided + actual)


def _mean(score: Callable[[Counts], float], each: list[Counts]) -> float:
    found = [score(counts) for counts in each if counts[1] or counts[2]]
    return sum(found) / len(found) if found else math.nan


def _of_class(score: Callable[[Counts], float], unit: float, values: Values, truth: Values) -> float:
    return _mean(score, [_each(values, truth)[int(unit)]]) if is_unit(unit, values) else math.nan
