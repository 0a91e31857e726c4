"""Metrics of the predictions for the test samples, from counts."""

from __future__ import annotations

import math
from collections.abc import Sequence


def negative_flips(flips: Sequence[int], totals: Sequence[int]) -> float:
    """Mean over the test sets of the share of samples that were right before and are wrong now; NaN without test sets.

    Yan et al. 2021, Positive-congruent training: towards regression-free model updates, the negative flip rate.

    Args:
        flips: for each test set, how many of its samples the previous model classified right and this one wrong.
        totals: number of samples of each test set.
    """
    shares = [flipped / total for flipped, total in zip(flips, totals, strict=True) if total]
    return sum(shares) / len(shares) if shares else math.nan


def expected_calibration_error(bins: Sequence[tuple[int, int, float]]) -> float:
    """Sum over the bins of their share of the samples times |accuracy - mean confidence|; NaN without samples.

    Guo et al. 2017, On calibration of modern neural networks, equation 3.

    Args:
        bins: for each bin of the confidence its samples, the correct ones, and the sum of their confidences.
    """
    samples = sum(n for n, _, _ in bins)
    return sum(abs(right - confidence) for _, right, confidence in bins) / samples if samples else math.nan
