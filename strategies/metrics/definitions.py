"""Metrics of continual learning, as pure functions of the accuracy matrix.

R is (T, T): R[i, j] is the accuracy on experience j's test set after training on experience i, NaN where it was not
evaluated; b is (T,): the untrained model's accuracy. Indices count from 0 and k is the last experience trained. A
metric that is not defined yet (transfer and forgetting at k = 0) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

NAMES = (
    "average_accuracy",
    "backward_transfer",
    "forward_transfer",
    "forgetting",
    "learning_accuracy",
    "average_incremental_accuracy",
)
"""Of the accuracy matrix alone: `summary`."""
SHARES = ("intransigence", "negative_flips", "expected_calibration_error")
COSTS = ("model_parameters", "model_bytes", "memory_bytes", "training_seconds")
ADDED = (*SHARES, *COSTS)
"""Of what else was counted and measured; less of each is better."""
ALL = (*NAMES, *ADDED)


def as_matrix(rows: Sequence[Sequence[float | None]]) -> Matrix:
    """Rows with None where nothing was evaluated, as (T, T) with NaN."""
    return np.array([[math.nan if v is None else v for v in row] for row in rows], dtype=np.float64)


def average_accuracy(R: ArrayLike, k: int) -> float:
    """Mean of R[k, 0..k] (Lopez-Paz & Ranzato 2017, ACC)."""
    return float(np.mean(np.asarray(R, dtype=np.float64)[k, : k + 1]))


def backward_transfer(R: ArrayLike, k: int) -> float:
    """Mean over j < k of R[k, j] - R[j, j] (Lopez-Paz & Ranzato 2017, BWT)."""
    if k == 0:
        return math.nan
    R = np.asarray(R, dtype=np.float64)
    return float(np.mean(R[k, :k] - np.diagonal(R)[:k]))


def forward_transfer(R: ArrayLike, b: ArrayLike, k: int) -> float:
    """Mean over 1 <= j <= k of R[j - 1, j] - b[j] (Lopez-Paz & Ranzato 2017, FWT)."""
    if k == 0:
        return math.nan
    R, b = np.asarray(R, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(np.mean(np.diagonal(R, 1)[:k] - b[1 : k + 1]))


def forgetting(R: ArrayLike, k: int) -> float:
    """Mean over j < k of max over j <= l < k of R[l, j] - R[k, j]; may be negative (Chaudhry et al. 2018)."""
    if k == 0:
        return math.nan
    R = np.asarray(R, dtype=np.float64)
    return float(np.mean([R[j:k, j].max() - R[k, j] for j in range(k)]))


def learning_accuracy(R: ArrayLike, k: int) -> float:
    """Mean of R[j, j] up to k (Riemer et al. 2019)."""
    return float(np.mean(np.diagonal(np.asarray(R, dtype=np.float64))[: k + 1]))


def average_incremental_accuracy(R: ArrayLike, k: int) -> float:
    """Mean over i <= k of the average accuracy after experience i (Rebuffi et al. 2017)."""
    return float(np.mean([average_accuracy(R, i) for i in range(k + 1)]))


def intransigence(R: ArrayLike, reference: ArrayLike, k: int) -> float:
    """Mean over j <= k of a*_j - R[j, j]: what is not learned any more; may be negative.

    Chaudhry et al. 2018, Riemannian walk for incremental learning, section 3, I_k, averaged over the experiences.

    Args:
        reference: (k + 1 or more,) a*_j: accuracy on experience j of a model trained jointly on experiences 0..j.
    """
    R, reference = np.asarray(R, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    return float(np.mean(reference[: k + 1] - np.diagonal(R)[: k + 1]))


def negative_flips(flips: Sequence[int], totals: Sequence[int]) -> float:
    """Mean over the test sets of the share of samples that were right before and are wrong now; NaN without any.

    Yan et al. 2021, Positive-congruent training: towards regression-free model updates, the negative flip rate.

    Args:
        flips: for each test set, how many of its samples the model before answered right and this one wrong.
        totals: samples of each.
    """
    shares = [flipped / total for flipped, total in zip(flips, totals, strict=True) if total]
    return float(np.mean(shares)) if shares else math.nan


def expected_calibration_error(bins: Sequence[tuple[int, int, float]]) -> float:
    """Sum over the bins of their share of the samples times |accuracy - mean confidence|; NaN without samples.

    Guo et al. 2017, On calibration of modern neural networks, equation 3.

    Args:
        bins: for each bin of the confidence its samples, those answered right, and the sum of their confidences.
    """
    samples = sum(n for n, _, _ in bins)
    return sum(abs(right - confidence) for _, right, confidence in bins) / samples if samples else math.nan


def summary(R: ArrayLike, b: ArrayLike, k: int | None = None) -> dict[str, float | None]:
    """All metrics by name after experience k (default: the last row); None where one is not defined."""
    R = np.asarray(R, dtype=np.float64)
    k = len(R) - 1 if k is None else k
    values = {
        "average_accuracy": average_accuracy(R, k),
        "backward_transfer": backward_transfer(R, k),
        "forward_transfer": forward_transfer(R, b, k),
        "forgetting": forgetting(R, k),
        "learning_accuracy": learning_accuracy(R, k),
        "average_incremental_accuracy": average_incremental_accuracy(R, k),
    }
    return {name: None if math.isnan(value) else value for name, value in values.items()}
