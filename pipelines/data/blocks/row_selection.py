"""Which rows of a block are held out for testing: known without reading them, as far as their number goes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from strategies.loop.seeded_random import generator
from strategies.memory.reservoir import sample_keys

Counts = NDArray[np.int64]


def held_out_counts(counts: NDArray[np.uint32], fraction: float) -> Counts:
    """(blocks, classes) how many rows of each class are held out of each block: n * fraction, up or down at random.

    It is decided by the number of the block and the class alone, so that it is the same in every run.

    Args:
        counts: (blocks, classes) rows of each class.
        fraction: of the rows, in (0, 1).
    """
    places = torch.arange(counts.size, dtype=torch.int64)
    chance = sample_keys(places, 0).astype(np.float64).reshape(counts.shape) / 2.0**64
    return np.minimum(np.floor(counts * fraction + chance), counts).astype(np.int64)


def held_out(targets: NDArray[np.int64], counts: Counts, block: int) -> NDArray[np.bool_]:
    """(rows,) which rows of a block are held out.

    Args:
        targets: (rows,) class numbers.
        counts: (classes,) how many rows of each class.
        block: number of the block.
    """
    test = np.zeros(len(targets), dtype=bool)
    for number in np.flatnonzero(counts):
        rows = np.flatnonzero(targets == number)
        test[rows[generator(0, "holdout", block, int(number)).permutation(len(rows))[: counts[number]]]] = True
    return test
