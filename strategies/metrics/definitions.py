"""The metrics as functions of an accuracy matrix, also for matrices that Everlearn has not measured.

R is (T, T): R[i, j] is the accuracy on experience j's test set after training on experience i, NaN where it was not
evaluated; b is (T,): the untrained model's accuracy. Indices count from 0 and k is the last experience trained. A
metric that is not defined yet (transfer and forgetting at k = 0) is NaN.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from strategies.metrics.evidence import Evidence
from strategies.metrics.metric_registry import all_metrics, find_metric


def average_accuracy(R: ArrayLike, k: int) -> float:
    """Mean of R[k, 0..k] (Lopez-Paz & Ranzato 2017, ACC)."""
    return _value("average_accuracy", Evidence.of(R, k=k))


def backward_transfer(R: ArrayLike, k: int) -> float:
    """Mean over j < k of R[k, j] - R[j, j] (Lopez-Paz & Ranzato 2017, BWT)."""
    return _value("backward_transfer", Evidence.of(R, k=k))


def forward_transfer(R: ArrayLike, b: ArrayLike, k: int) -> float:
    """Mean over 1 <= j <= k of R[j - 1, j] - b[j] (Lopez-Paz & Ranzato 2017, FWT)."""
    return _value("forward_transfer", Evidence.of(R, b, k))


def forgetting(R: ArrayLike, k: int) -> float:
    """Mean over j < k of max over j <= l < k of R[l, j] - R[k, j]; may be negative (Chaudhry et al. 2018)."""
    return _value("forgetting", Evidence.of(R, k=k))


def learning_accuracy(R: ArrayLike, k: int) -> float:
    """Mean of R[j, j] up to k (Riemer et al. 2019)."""
    return _value("learning_accuracy", Evidence.of(R, k=k))


def average_incremental_accuracy(R: ArrayLike, k: int) -> float:
    """Mean over i <= k of the average accuracy after experience i (Rebuffi et al. 2017)."""
    return _value("average_incremental_accuracy", Evidence.of(R, k=k))


def intransigence(R: ArrayLike, reference: ArrayLike, k: int) -> float:
    """Mean over j <= k of a*_j - R[j, j], the accuracy on new experiences that is missing; may be negative.

    Chaudhry et al. 2018, Riemannian walk for incremental learning, section 3, I_k, averaged over the experiences.

    Args:
        reference: (k + 1 or more,) a*_j: accuracy on experience j of a model trained jointly on experiences 0..j.
    """
    joint = np.asarray(reference, dtype=np.float64)[: k + 1]
    return _value("intransigence", replace(Evidence.of(R, k=k), reference=joint))


def summary(R: ArrayLike, b: ArrayLike, k: int | None = None) -> dict[str, float | None]:
    """All metrics of the matrix by name after experience k (default: the last row); None where one is not defined."""
    evidence = Evidence.of(R, b, k)
    return {metric.name: metric.value(evidence) for metric in all_metrics("matrix")}


def _value(name: str, evidence: Evidence) -> float:
    metric = find_metric(name)
    assert metric is not None
    value = metric.value(evidence)
    return math.nan if value is None else value
