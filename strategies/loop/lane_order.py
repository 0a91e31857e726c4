"""The order of an experience in lanes: the same global batches at any number of readers, each block for one of them.

Every global batch takes rows of all lanes, in exact proportion to their sizes (`loop.lane_rows`). Rank r of N serves
the lanes L * r // N to L * (r + 1) // N, so its share of a batch is a run of the batch, and no block is read by two
ranks. The position in an experience is its step alone, so that any number of ranks can resume from it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strategies.api.strategy_errors import StrategyError
from strategies.loop.lane_rows import rows_taken, rows_taken_at
from strategies.loop.lanes import EpochLanes, LaneWindow
from strategies.loop.process_group import Group
from strategies.loop.sampling import SampleOrder

WINDOW = 4
"""Blocks of a lane that are shuffled together, by default."""
EPOCHS_KEPT = 4
"""So many epochs are known at once, and one more: batches are planned ahead."""
LARGEST_BLOCK = 1024
"""Rows of a block of samples in memory, at the most."""


class Piece(NamedTuple):
    """Rows of a lane that are in a batch: `start` to `stop` of the lane's rows in an epoch."""

    epoch: int
    lane: int
    start: int
    stop: int


class BatchPlaces(NamedTuple):
    """Where rows of some lanes lie in batches that follow each other.

    Attributes:
        epochs: (n,) int64, of each run of rows of all lanes that belongs to one batch and one epoch, ascending.
        starts, stops: (n, lanes) int64, which rows of a lane in its epoch are in it.
        places: (n, lanes) int64, where the first of them lies, counted from the first batch's first row.
        edges: (batches + 1,) int64, where each batch begins.
    """

    epochs: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    places: NDArray[np.int64]
    edges: NDArray[np.int64]

    def of(self, epoch: int, lane: int, start: int, stop: int) -> tuple[int, NDArray[np.int64]]:
        """The places of rows of a lane.

        Args:
            lane: counted from the first of these.

        Returns:
            The first row of `start` to `stop` that is in a batch, and the places, (m,), of it and those that follow.
        """
        first, end = np.searchsorted(self.epochs, [epoch, epoch + 1]) if self.epochs[0] < self.epochs[-1] else (0, None)
        starts, stops, places = (one[first:end, lane] for one in (self.starts, self.stops, self.places))
        begin, behind = max(start, int(starts[0])), min(stop, int(stops[-1]))
        sizes = np.minimum(stops, behind) - np.maximum(starts, begin)
        # Batches before and behind have none of these rows.
        return begin, np.repeat(places - starts, np.maximum(sizes, 0)) + np.arange(begin, behind)


@dataclass(frozen=True, eq=False)
class LaneOrder(SampleOrder):
    """The order of the samples of one experience in lanes.

    Positions count through the blocks, in their order. Within a global batch, samples are ordered by lane.

    Attributes:
        sizes: (blocks,) int64, rows of each block; they add up to n.
        lanes: number of lanes.
        window: blocks of a lane that are shuffled together.
    """

    sizes: NDArray[np.int64] = field(kw_only=True)
    lanes: int = field(kw_only=True)
    window: int = field(kw_only=True, default=WINDOW)
    _epochs: dict[int, EpochLanes] = field(init=False, repr=False, default_factory=dict)
    _taken: dict[tuple[int, int], list[int]] = field(init=False, repr=False, default_factory=dict)
    _windows: dict[tuple[int, int, int], LaneWindow] = field(init=False, repr=False, default_factory=dict)
    _starts: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lanes < 1 or self.window < 1:
            raise ValueError("there is at least one lane, and at least one block in a window")
        object.__setattr__(self, "_starts", np.concatenate([[0], np.cumsum(self.sizes)]))
        if self._starts[-1] != self.n:
            raise ValueError(f"the blocks have {self._starts[-1]} rows, not {self.n}")

    def lanes_of(self, group: Group) -> range:
        """The lanes that a rank serves.

        Raises:
            StrategyError: more ranks than lanes.
        """
        return lanes_of(group, self.lanes)

    def epoch(self, epoch: int) -> EpochLanes:
        """The lanes of an epoch."""
        if epoch not in self._epochs:
            for old in sorted(self._epochs)[:-EPOCHS_KEPT]:
                del self._epochs[old]
            self._epochs[epoch] = EpochLanes(self.sizes, self.lanes, self.window, self.seed, self.experience, epoch)
        return self._epochs[epoch]

    def pieces(self, step: int, lanes: range) -> list[Piece]:
        """The rows of some lanes in the global batch at `step`, in their order in the batch."""
        found = []
        for epoch, start, stop in self.spans(step):
            before, after = self._counts(epoch, start), self._counts(epoch, stop)
            found += [Piece(epoch, lane, before[lane], after[lane]) for lane in lanes if after[lane] > before[lane]]
        return sorted(found, key=lambda piece: piece.lane)

    def batch_places(self, first: int, stop: int, lanes: range) -> BatchPlaces:
        """Where the rows of some lanes lie in the batches at the steps from `first` to before `stop`."""
        spans = [(step, *span) for step in range(first, stop) for span in self.spans(step)]
        steps, epochs, froms, ends = np.array(spans, dtype=np.int64).reshape(-1, 4).T
        starts, stops = np.empty((2, len(spans), len(lanes)), dtype=np.int64)
        for epoch in np.unique(epochs).tolist():
            here = np.flatnonzero(epochs == epoch)
            cuts, where = np.unique([froms[here], ends[here]], return_inverse=True)
            counts = rows_taken_at(self.epoch(epoch).rows, cuts)[:, lanes.start : lanes.stop]
            starts[here], stops[here] = counts[where.reshape(2, -1)]
        # In a batch, rows are ordered by lane, and those of a lane by epoch.
        number, lane = (one.ravel() for one in np.indices(starts.shape))
        order = np.lexsort((number, lane, steps[number]))
        sizes = (stops - starts).ravel()
        places = np.empty(len(sizes), dtype=np.int64)
        places[order] = np.cumsum(sizes[order]) - sizes[order]
        whole = np.bincount(steps - first, (stops - starts).sum(axis=1), minlength=stop - first)
        edges = np.concatenate([[0], np.cumsum(whole.astype(np.int64))])
        return BatchPlaces(epochs, starts, stops, places.reshape(starts.shape), edges)

    def windows_of(self, epoch: int, lane: int, start: int, stop: int) -> list[tuple[int, int, int]]:
        """The windows, (epoch, lane, number), in which the rows `start` to `stop` of a lane lie."""
        starts = self.epoch(epoch).window_starts(lane)
        first = bisect_right(starts, start) - 1
        end = bisect_left(starts, stop, lo=first)
        return [(epoch, lane, number) for number in range(first, end)]

    def windows_from(self, epoch: int, taken: int, lanes: range) -> list[tuple[int, int, int]]:
        """The windows of some lanes with rows after the first `taken` of an epoch, in the order of their use."""
        one, before = self.epoch(epoch), self._counts(epoch, taken)
        found = []
        for lane in lanes:
            starts = one.window_starts(lane)
            for number in range(max(0, bisect_right(starts, before[lane]) - 1), len(starts) - 1):
                row = max(starts[number], before[lane])
                found.append(((row + 0.5) / one.rows[lane], (epoch, lane, number)))
        return [key for _, key in sorted(found)]

    def batch(self, step: int) -> Tensor:
        return self._positions(step, range(self.lanes))

    def share(self, group: Group, step: int) -> slice:
        own = self.lanes_of(group)
        before, mine = (
            sum(piece.stop - piece.start for piece in self.pieces(step, lanes)) for lanes in (range(own.start), own)
        )
        return slice(before, before + mine)

    def shares(self, group: Group, start: int = 0) -> Iterator[Tensor]:
        own = self.lanes_of(group)
        return (self._positions(step, own) for step in range(start, len(self)))

    def _positions(self, step: int, lanes: range) -> Tensor:
        parts = [part for piece in self.pieces(step, lanes) for part in self._of(piece)]
        return torch.from_numpy(np.concatenate(parts) if parts else np.empty(0, dtype=np.int64))

    def _of(self, piece: Piece) -> Iterator[NDArray[np.int64]]:
        """The positions of a piece, window by window."""
        for key in self.windows_of(*piece):
            window = self._window_at(*key)
            rows = window.shuffled[max(piece.start - window.start, 0) : piece.stop - window.start]
            block = np.searchsorted(window.edges, rows, side="right") - 1
            yield self._starts[window.blocks[block]] + rows - window.edges[block]

    def _window_at(self, epoch: int, lane: int, number: int) -> LaneWindow:
        key = (epoch, lane, number)
        if key not in self._windows:
            for old in [k for k in self._windows if k[1] == lane and k < (epoch, lane, number - 1)]:
                del self._windows[old]
            self._windows[key] = self.epoch(epoch).window(lane, number)
        return self._windows[key]

    def _counts(self, epoch: int, taken: int) -> list[int]:
        """Rows of each lane among the first rows of an epoch; the ends of the last batches are kept."""
        key = (epoch, taken)
        if key not in self._taken:
            if len(self._taken) > 8:
                self._taken.clear()
            self._taken[key] = rows_taken(self.epoch(epoch).rows, taken)
        return self._taken[key]


def lanes_of(group: Group, lanes: int) -> range:
    """The lanes that a rank serves, of `lanes`.

    Raises:
        StrategyError: more ranks than lanes.
    """
    if group.size > lanes:
        raise StrategyError(
            f"stream.lanes: {lanes} lanes cannot be shared by {group.size} workers: set scaling.workers to at most "
            f"{lanes}, or more lanes (which is another order of the samples)"
        )
    return range(lanes * group.rank // group.size, lanes * (group.rank + 1) // group.size)


def blocks_in_memory(n: int, lanes: int, window: int) -> NDArray[np.int64]:
    """(blocks,) sizes of the blocks of n samples in memory: small enough that every lane has a window, if it can."""
    size = max(1, min(LARGEST_BLOCK, -(-n // (lanes * window))))
    sizes = np.full(-(-n // size), size, dtype=np.int64)
    sizes[-1] = n - size * (len(sizes) - 1)
    return sizes
