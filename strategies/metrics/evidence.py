"""The measurements that the metrics are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


def as_matrix(rows: Sequence[Sequence[float | None]]) -> Values:
    """Rows with None where nothing was evaluated, as (T, T) with NaN."""
    return np.array([[math.nan if v is None else v for v in row] for row in rows], dtype=np.float64)


@dataclass(frozen=True)
class Evidence:
    """What is known after experience k. NaN: not evaluated, or not known.

    R is turned so that more is better: of a score in which lower is better, it holds the negative values.

    Attributes:
        rows: R[i, 0..i] for each i <= k, the last is `row`. A metric that reads all rows takes time that grows with the
            stream; most metrics need only the fields below.
        learned: (k + 1,) R[j, j], the accuracy on each experience right after training on it.
        best: (k,) max over j <= l < k of R[l, j].
        averages: (k + 1,) mean of R[i, 0..i].
        ahead: (k,) R[j - 1, j] for 1 <= j <= k, the accuracy on each experience right before training on it.
        untrained: (k,) b[j] for 1 <= j <= k.
        reference: (k + 1,) a*[j], accuracy on experience j of a model trained jointly on experiences 0..j.
        flips, totals: for each experience before k, samples of its test set that the previous model classified right
            and this one wrong, and all samples; empty where they were not counted.
        classes: (class, samples classified right, samples) of each class in the test sets of experiences 0..k together.
        confusion: (class, predicted class, samples) of the samples classified wrong; None: not counted.
        bins: for each bin of the confidence its samples, the correct ones, and the sum of their confidences.
        scores: by the name of a score, its value for the test sets of experiences 0..k together.
        each: by the name of a score, its values on the test sets of experiences 0..k, (k + 1,).
        parameters, model_bytes: size of the model.
        memory_bytes: size of all rehearsal memories.
        seconds: duration of training on experience k.
        partial: test sets are left out on purpose (`evaluate` in the pipeline file): metrics of the matrix are over the
            cells that are known, and `rows` holds row k alone, if it is the newest.
    """

    rows: tuple[Values, ...]
    learned: Values
    best: Values
    averages: Values
    ahead: Values
    untrained: Values
    reference: Values
    flips: Sequence[int] = ()
    totals: Sequence[int] = ()
    classes: Sequence[tuple[int, int, int]] = ()
    confusion: Sequence[tuple[int, int, int]] | None = None
    bins: Sequence[tuple[int, int, float]] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    each: Mapping[str, Values] = field(default_factory=dict)
    parameters: float = math.nan
    model_bytes: float = math.nan
    memory_bytes: float = math.nan
    seconds: float = math.nan
    partial: bool = False

    @property
    def row(self) -> Values:
        """(k + 1,) R[k, 0..k]."""
        return self.rows[-1]

    def known(self, values: Values) -> Values:
        """The values that count: all of them, or where test sets are left out, those that are known."""
        return values[~np.isnan(values)] if self.partial else values

    def mean(self, values: Values) -> float:
        """Of the values that count; NaN without any."""
        counted = self.known(values)
        return float(counted.mean()) if len(counted) else math.nan

    def lowest(self, values: Values) -> float:
        """Of the values that count; NaN without any."""
        counted = self.known(values)
        return float(counted.min()) if len(counted) else math.nan

    @classmethod
    def of(cls, R: ArrayLike, b: ArrayLike | None = None, k: int | None = None) -> Self:
        """The evidence in a whole matrix.

        Args:
            R: (T, T) R[i, j], accuracy on experience j's test set after training on experience i.
            b: (T,) accuracy of the untrained model; None: not known.
            k: the last experience trained; None: the last row.
        """
        R = np.asarray(R, dtype=np.float64)
        k = len(R) - 1 if k is None else k
        untrained = np.full(k + 1, math.nan) if b is None else np.asarray(b, dtype=np.float64)
        return cls(
            rows=tuple(R[i, : i + 1] for i in range(k + 1)),
            learned=np.diagonal(R)[: k + 1],
            best=np.array([R[j:k, j].max() for j in range(k)], dtype=np.float64),
            averages=np.array([R[i, : i + 1].mean() for i in range(k + 1)]),
            ahead=np.diagonal(R, 1)[:k],
            untrained=untrained[1 : k + 1],
            reference=np.full(k + 1, math.nan),
        )
