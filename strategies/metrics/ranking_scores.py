"""Scores of how well probabilities tell one class from the rest, of one class or as a mean over several.

Values are (n, c) probabilities. Truth is (n,) classes or (n, c) of 0 and 1. With two classes, the scores are those of
class 1; with more, or with several labels, they are means over the classes of which truth has samples and others, each
against the rest. Counts are whole numbers and ties count as such, so that the order of the samples does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values

Marks = NDArray[np.bool_]
Binary = Callable[["Values", Marks], float]


def auroc(values: Values, truth: Values) -> float:
    """Share of the pairs of a sample of the class and another in which the former has the higher value; a tie is half.

    Hanley & McNeil 1982, The meaning and use of the area under a receiver operating characteristic curve.
    """
    return _mean(_auroc, values, truth)


def average_precision(values: Values, truth: Values) -> float:
    """Sum over the thresholds of the gain in recall times the precision there, as in scikit-learn."""
    return _mean(_average_precision, values, truth)


def recall_at_precision(least: float, values: Values, truth: Values) -> float:
    """The highest recall of a threshold whose precision is at least `least`; 0 where no threshold has it."""

    def of_one(values: Values, positive: Marks) -> float:
        precision, recall = _curve(values, positive)
        return _best(recall, precision, least)

    return _mean(of_one, values, truth)


def precision_at_recall(least: float, values: Values, truth: Values) -> float:
    """The highest precision of a threshold whose recall is at least `least`."""
    return _mean(lambda v, t: _best(*_curve(v, t), least), values, truth)


def auroc_of(unit: float, values: Values, truth: Values) -> float:
    """`auroc` of one class against the rest."""
    return _of_class(_auroc, unit, values, truth)


def average_precision_of(unit: float, values: Values, truth: Values) -> float:
    """`average_precision` of one class against the rest."""
    return _of_class(_average_precision, unit, values, truth)


def is_unit(unit: float, values: Values) -> bool:
    """Whether a number names a column of the values."""
    return unit == int(unit) and 0 <= unit < values.shape[1]


def against_the_rest(unit: int, values: Values, truth: Values) -> tuple[Values, Marks]:
    """The values of one class, (n,), and which samples are of it, (n,) bool."""
    marks: Marks = truth == unit if truth.ndim == 1 else truth[:, unit] > 0.5
    return values[:, unit], marks


def columns(values: Values, truth: Values) -> Iterator[tuple[Values, Marks]]:
    """`against_the_rest` of class 1 of two classes, or of each class and label."""
    binary = truth.ndim == 1 and values.shape[1] == 2
    return (against_the_rest(unit, values, truth) for unit in ([1] if binary else range(values.shape[1])))


def _mean(score: Binary, values: Values, truth: Values) -> float:
    found = [score(v, t) for v, t in columns(values, truth) if t.any() and not t.all()]
    return sum(found) / len(found) if found else math.nan


def _of_class(score: Binary, unit: float, values: Values, truth: Values) -> float:
    if not is_unit(unit, values):
        return math.nan
    v, t = against_the_rest(int(unit), values, truth)
    return score(v, t) if t.any() and not t.all() else math.nan


def _auroc(values: Values, positive: Marks) -> float:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Twice the mean rank of equal values, a whole number.
    ranks = (2 * np.cumsum(counts) - counts + 1)[place]
    positives = int(positive.sum())
    twice = int(ranks[positive].sum()) - positives * (positives + 1)
    return twice / (2 * positives * (len(values) - positives))


def _curve(values: Values, positive: Marks) -> tuple[Values, Values]:
    """Precision and recall of each threshold, from the highest value down."""
    _, place = np.unique(-values, return_inverse=True)
    predicted = np.cumsum(np.bincount(place))
    right = np.cumsum(np.bincount(place, weights=positive.astype(np.float64)))
    return right / predicted, right / right[-1]


def _average_precision(values: Values, positive: Marks) -> float:
    precision, recall = _curve(values, positive)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _best(wanted: Values, bounded: Values, least: float) -> float:
    enough = bounded >= least
    return float(wanted[enough].max()) if enough.any() else 0.0
