"""The continual-learning metrics along a stream, in time that grows with the row that is added alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategies.metrics.definitions import NAMES


class RunningMetrics:
    """Takes the rows of the accuracy matrix R one after another: what the earlier ones amount to is kept.

    `summary` of the whole matrix gives the same numbers, and takes time that grows with its size each time.
    """

    def __init__(self) -> None:
        self._length = 0
        # R[j, j], and max over j <= l of R[l, j], for the experiences so far.
        self._learned: NDArray[np.float64] = np.zeros(0)
        self._best: NDArray[np.float64] = np.zeros(0)
        self._forward = 0.0
        self._averages = 0.0

    @property
    def learned(self) -> NDArray[np.float64]:
        """(k + 1,) R[j, j] of the experiences so far."""
        return self._learned

    def add(self, row: ArrayLike, ahead: float = math.nan, baseline: float = math.nan) -> dict[str, float | None]:
        """The metrics after one more experience, k; None where one is not defined.

        Args:
            row: (k + 1 or more,) R[k, 0..k], NaN where nothing was evaluated.
            ahead: R[k - 1, k], the accuracy on it before it was learned; baseline: b_k, that of the untrained model.
        """
        k = self._length
        seen = np.asarray(row, dtype=np.float64)[: k + 1]
        average = float(np.mean(seen))
        self._averages += average
        values = dict.fromkeys(NAMES, math.nan)
        if k:
            self._forward += ahead - baseline
            values["backward_transfer"] = float(np.mean(seen[:k] - self._learned))
            values["forward_transfer"] = self._forward / k
            values["forgetting"] = float(np.mean(self._best - seen[:k]))
        self._learned = np.append(self._learned, seen[k])
        # Of NaN and a number, NaN is the maximum: as in the definition.
        self._best = np.append(np.maximum(self._best, seen[:k]), seen[k])
        self._length += 1
        values["average_accuracy"] = average
        values["learning_accuracy"] = float(np.mean(self._learned))
        values["average_incremental_accuracy"] = self._averages / self._length
        return {name: None if math.isnan(value) else value for name, value in values.items()}
