"""The continual-learning metrics along a stream; the time per experience grows only with its row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from strategies.metrics.evidence import Evidence, Values
from strategies.metrics.score_metrics import Named, metrics_for
from strategies.metrics.score_registry import ACCURACY


class RunningMetrics:
    """Takes the rows of the score matrix R one after another, and keeps what the metrics need of earlier rows.

    `summary` of a whole accuracy matrix gives the same numbers, in time that grows with the size of the matrix.
    """

    def __init__(self, score: Named = ACCURACY, partial: bool = False) -> None:
        """
        Args:
            score: what R holds.
            partial: NaN stands for test sets that are left out on purpose: the metrics are then over the others, and
                only the newest row is kept.
        """
        self._partial = partial
        self._sign = 1 if score.better == "higher" else -1
        self._metrics = [metric for metric in metrics_for([score]) if metric.scope == "matrix"]
        nothing: Values = np.zeros(0)
        self._rows: tuple[Values, ...] = ()
        # For each experience k, max over j <= l < k of R[l, j].
        self._best: tuple[Values, ...] = ()
        self._learned = self._averages = self._ahead = self._untrained = nothing

    @property
    def learned(self) -> Values:
        """(k + 1,) R[j, j] of the experiences so far."""
        return self._sign * self._learned

    def add(self, row: ArrayLike, ahead: float = math.nan, baseline: float = math.nan) -> dict[str, float | None]:
        """The metrics of the matrix after one more experience, k; None where one is not defined.

        Args:
            row: (k + 1 or more,) R[k, 0..k], NaN where nothing was evaluated.
            ahead: R[k - 1, k], the score on it before it was learned; baseline: b_k, that of the untrained model.
        """
        k = len(self._learned)
        seen = self._sign * np.asarray(row, dtype=np.float64)[: k + 1]
        # Of NaN and a number, NaN is the maximum: as in the definition.
        higher = np.fmax if self._partial else np.maximum
        best = np.append(higher(self._best[-1], self._rows[-1][:-1]), self._rows[-1][-1]) if k else np.zeros(0)
        self._best = (best,) if self._partial else (*self._best, best)
        self._rows = (seen,) if self._partial else (*self._rows, seen)
        self._learned = np.append(self._learned, seen[k])
        known = seen[~np.isnan(seen)] if self._partial else seen
        self._averages = np.append(self._averages, known.mean() if len(known) else math.nan)
        if k:
            self._ahead = np.append(self._ahead, self._sign * ahead)
            self._untrained = np.append(self._untrained, self._sign * baseline)
        evidence = self.evidence(k)
        return {metric.name: metric.value(evidence) for metric in self._metrics}

    def evidence(self, k: int) -> Evidence:
        """The evidence after experience k, which has been added."""
        rows, best = self._rows[: k + 1], self._best[min(k, len(self._best) - 1)]
        if self._partial and k < len(self._learned) - 1:
            rows, best = (np.full(k + 1, math.nan),), np.full(k, math.nan)
        return Evidence(
            partial=self._partial,
            rows=rows,
            learned=self._learned[: k + 1],
            best=best,
            averages=self._averages[: k + 1],
            ahead=self._ahead[:k],
            untrained=self._untrained[:k],
            reference=np.full(k + 1, math.nan),
        )
