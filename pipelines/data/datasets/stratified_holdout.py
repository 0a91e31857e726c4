"""A test set held out of data that comes without one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.splits import seeded


def stratified_holdout(labels: NDArray[np.int64], fraction: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows for training and rows for testing, ascending: of each class the same fraction, always the same rows.

    The pipeline's seed has no part in it, so that runs with different seeds are tested on the same samples. A class
    with two or more samples has at least one on either side; a single sample is trained on.

    Args:
        labels: (n,) class numbers.
        fraction: of the rows, for testing.
    """
    test = np.zeros(len(labels), dtype=bool)
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        count = min(max(round(fraction * len(rows)), 1), len(rows) - 1) if fraction > 0 else 0
        test[rows[seeded(0, f"holdout {number}").permutation(len(rows))[:count]]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)
