"""The order of an epoch over blocks of samples: blocks are dealt to lanes, and shuffled in windows within a lane.

A block is a run of samples that is read at once, such as a row group of a parquet file. The order depends on the sizes
of the blocks, the number of lanes, the window and the seed, and never on who reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from strategies.loop.seeded_random import generator

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class LaneWindow:
    """Blocks of a lane whose rows are shuffled together.

    Attributes:
        blocks: their numbers, in the order in which they were dealt.
        start, stop: the rows of the lane that come from them.
        edges: (blocks + 1,) where the rows of each block begin, counted from the first block of the window.
        address: what the order of the rows is drawn from.
    """

    blocks: Numbers
    start: int
    stop: int
    edges: Numbers
    address: tuple[int, ...]

    @cached_property
    def shuffled(self) -> Numbers:
        """(rows,) the order of the rows: numbers from 0, counted through the blocks."""
        seed, *address = self.address
        return generator(seed, "window", *address).permutation(self.stop - self.start)


class EpochLanes:
    """One epoch.

    Attributes:
        rows: of each lane.
    """

    def __init__(self, sizes: Numbers, lanes: int, window: int, seed: int, experience: int, epoch: int) -> None:
        """
        Args:
            sizes: (blocks,) rows of each block.
            lanes: number of lanes, at least 1.
            window: blocks of a lane that are shuffled together, at least 1.
            seed, experience, epoch: what the order is drawn from.
        """
        dealt = generator(seed, "lanes", experience, epoch).permutation(len(sizes))
        self._sizes, self._window, self._address = sizes, window, (seed, experience, epoch)
        self._members = [dealt[lane::lanes] for lane in range(lanes)]
        self._edges = [np.concatenate([[0], np.cumsum(sizes[members])]) for members in self._members]
        self.rows = [int(edges[-1]) for edges in self._edges]
        self._window_starts: dict[int, list[int]] = {}

    def cuts(self, lane: int) -> Numbers:
        """(windows + 1,) where the windows of a lane begin, counted in blocks of the lane.

        The first window is shorter by a different amount in each lane, so that not all lanes begin a window at once.
        """
        blocks = len(self._members[lane])
        inner = np.arange(self._window - lane % self._window, blocks, self._window)
        return np.concatenate([[0], inner, [blocks]]) if blocks else np.zeros(1, dtype=np.int64)

    def window_starts(self, lane: int) -> list[int]:
        """(windows + 1,) the same, counted in rows of the lane."""
        if lane not in self._window_starts:
            self._window_starts[lane] = self._edges[lane][self.cuts(lane)].tolist()
        return self._window_starts[lane]

    def window(self, lane: int, number: int) -> LaneWindow:
        """A window of a lane."""
        first, end = self.cuts(lane)[number : number + 2]
        edges = self._edges[lane][first : end + 1]
        seed, *address = self._address
        return LaneWindow(
            self._members[lane][first:end],
            int(edges[0]),
            int(edges[-1]),
            edges - edges[0],
            (seed, *address, lane, number),
        )
