"""Scores of predicted numbers: errors in the unit of the target, and shares of its variance.

Values are (n, k) predictions, truth (n,) or (n, k) targets. The score of several targets is the mean of their scores.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values


def mean_absolute_error(values: Values, truth: Values) -> float:
    """Mean of abs(prediction - target)."""
    return float(abs(_errors(values, truth)).mean())


def root_mean_squared_error(values: Values, truth: Values) -> float:
    """Square root of the mean of (prediction - target)^2, for each target."""
    return float(((_errors(values, truth) ** 2).mean(0) ** 0.5).mean())


def r2(values: Values, truth: Values) -> float:
    """1 - sum of squared errors / sum of squared deviations from the targets' mean; NaN where a target is constant."""
    target = truth.reshape(len(truth), -1)
    spread = ((target - target.mean(0)) ** 2).sum(0)
    if not (spread > 0).all():
        return math.nan
    return float((1 - (_errors(values, truth) ** 2).sum(0) / spread).mean())


def quantile_loss(quantile: float, values: Values, truth: Values) -> float:
    """Mean of q * e where e = target - prediction is positive, and of (q - 1) * e elsewhere; also called pinball loss.

    Koenker & Bassett 1978, Regression quantiles.
    """
    error = -_errors(values, truth)
    return float(((error > 0) * quantile * error + (error <= 0) * (quantile - 1) * error).mean())


def _errors(values: Values, truth: Values) -> Values:
    return values - truth.reshape(values.shape)
