"""Sums of numbers that are exactly rounded, whatever the order and the parts in which the numbers come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_HALF = 26
_BITS = 53
_LEAST = -1074
"""Exponent of the smallest number."""
_ROWS = 2**24
"""At a time: so many halves of 27 bits add up to whole numbers that a float64 holds."""


class ExactSum:
    """What `math.fsum` gives of all numbers that were added, to the bit, in constant memory.

    A number is a whole number of 53 bits times a power of two: these whole numbers are added by exponent, and the total
    is kept as one long integer.
    """

    def __init__(self) -> None:
        self._total = 0  # in units of 2 ** (_LEAST - _BITS)

    def add(self, values: NDArray[np.float64]) -> None:
        """Add numbers, (n,), all finite."""
        for start in range(0, len(values), _ROWS):
            mantissas, exponents = np.frexp(values[start : start + _ROWS])
            whole = np.ldexp(mantissas, _BITS).astype(np.int64)
            shifts = exponents.astype(np.int64) - _LEAST
            high = np.bincount(shifts, weights=whole >> _HALF)
            low = np.bincount(shifts, weights=whole & (2**_HALF - 1))
            for shift in np.flatnonzero(high.astype(bool) | low.astype(bool)).tolist():
                self._total += ((int(high[shift]) << _HALF) + int(low[shift])) << shift

    @property
    def value(self) -> float:
        """The sum, rounded once."""
        return float(self._total / 2 ** (_BITS - _LEAST))
