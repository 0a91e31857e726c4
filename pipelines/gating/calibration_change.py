"""Did the calibration change: does the confidence of one model match its accuracy worse than that of another?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 400

Bins = Sequence[tuple[int, int, float]]
"""For each bin of the confidence, its samples, those answered right, and the sum of their confidences."""


@dataclass(frozen=True)
class CalibrationChange:
    """The candidate's expected calibration error against the champion's.

    Attributes:
        champion, candidate: the errors, 0 to 1.
        deviation: standard deviation of their difference.
    """

    champion: float
    candidate: float
    deviation: float

    @property
    def difference(self) -> float:
        """How much larger the candidate's error is."""
        return self.candidate - self.champion

    def p_values(self, margin: float) -> tuple[float, float]:
        """How often an error that grows by at most `margin` grows as much by chance, and one that grows by `margin` or
        more as little; by the normal approximation.
        """
        from scipy.special import ndtr

        if not self.deviation:
            return (1.0, 0.0) if self.difference <= margin else (0.0, 1.0)
        distance = (self.difference - margin) / self.deviation
        return float(ndtr(-distance)), float(ndtr(distance))


def calibration_change(champion: Bins, candidate: Bins, *, seed: int = 0) -> CalibrationChange:
    """Compare two models' bins of confidence.

    The deviation is that of a parametric bootstrap: the samples of the bins are multinomial, the right ones in a bin
    binomial. Pairs are not known, so that the deviations of both models add up, which is conservative for models that
    err on the same samples.

    Source: Guo et al. 2017, equation 3 (the error); Efron & Tibshirani 1993, section 6.5 (parametric bootstrap).

    Args:
        champion, candidate: at least one sample each.
        seed: of the draws.

    Raises:
        ValueError: a model has no samples.
    """
    random = np.random.Generator(np.random.Philox(seed))
    errors, variance = [], 0.0
    for bins in (champion, candidate):
        counts, right, confidence = (np.array(column, dtype=np.float64) for column in zip(*bins, strict=True))
        if not counts.sum():
            raise ValueError("calibration of no samples")
        errors.append(float(_error(counts, right, confidence)))
        filled = np.maximum(counts, 1)
        drawn = random.multinomial(int(counts.sum()), counts / counts.sum(), size=RESAMPLES)
        answered = random.binomial(drawn, np.clip(right / filled, 0, 1))
        variance += float(np.var(_error(drawn, answered, drawn * (confidence / filled))))
    return CalibrationChange(errors[0], errors[1], float(np.sqrt(variance)))


def _error(
    counts: NDArray[np.float64] | NDArray[np.int64],
    right: NDArray[np.float64] | NDArray[np.int64],
    confidence: NDArray[np.float64],
) -> NDArray[np.float64]:
    gaps: NDArray[np.float64] = np.abs(right - confidence).sum(axis=-1) / counts.sum(axis=-1)
    return gaps
