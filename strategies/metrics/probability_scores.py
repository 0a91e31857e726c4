"""Scores of the probabilities themselves: how surprising the right class is, and whether confidence is accuracy.

Values are (n, c) probabilities, truth (n,) classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values

BINS = 15
_LEAST = float(np.finfo(np.float64).eps)


def log_loss(values: Values, truth: Values) -> float:
    """Mean of -log p of the right class, with p at least 2.2e-16, as in scikit-learn."""
    right = values[np.arange(len(values)), truth.astype(np.int64)]
    return float(-np.log(np.clip(right, _LEAST, 1.0)).mean())


def brier(values: Values, truth: Values) -> float:
    """Mean of the squared error of the probabilities, summed over the classes; half of it for two classes.

    Brier 1950, Verification of forecasts expressed in terms of probability.
    """
    actual = truth.astype(np.int64)[:, None] == np.arange(values.shape[1])
    squared = float(((values - actual) ** 2).sum(1).mean())
    return squared / 2 if values.shape[1] == 2 else squared


def expected_calibration_error(values: Values, truth: Values) -> float:
    """Sum over 15 bins of the confidence of their share of the samples times abs(accuracy - mean confidence).

    Guo et al. 2017, On calibration of modern neural networks, equation 3.
    """
    confidence, right = values.max(1), values.argmax(1) == truth
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    difference = np.bincount(place, weights=confidence - right, minlength=BINS)
    return float(np.abs(difference).sum() / len(values))
