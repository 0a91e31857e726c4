"""Scores of several labels for each sample.

Values are (n, k) probabilities of the labels, truth (n, k) of 0 and 1; a label is predicted where its probability is
above a threshold of 0.5.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values


def micro_f1(values: Values, truth: Values) -> float:
    """2 TP / (2 TP + FP + FN) of all labels of all samples; NaN where nothing is right and nothing predicted."""
    predicted, actual = values > 0.5, truth > 0.5
    marked = int(predicted.sum()) + int(actual.sum())
    return 2 * int((predicted & actual).sum()) / marked if marked else math.nan


def subset_accuracy(values: Values, truth: Values) -> float:
    """Share of the samples all of whose labels are right."""
    return float(((values > 0.5) == (truth > 0.5)).all(1).mean())


def hamming_loss(values: Values, truth: Values) -> float:
    """Share of the labels of all samples that are wrong."""
    return float(((values > 0.5) != (truth > 0.5)).mean())
