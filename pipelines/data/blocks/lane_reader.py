"""Reads the batches of an order in lanes: whole blocks, ahead of time, in threads and in bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.data.blocks.block_rows import Rows
from pipelines.data.blocks.read_ahead import windows_held
from strategies.loop.lane_order import LaneOrder
from strategies.loop.process_group import Group

Key = tuple[int, int, int]
"""A window: epoch, lane, number within the lane."""


class Blocks(Protocol):
    """What is read: samples in blocks.

    Attributes:
        block_sizes: (blocks,) int64, the rows of each block.
    """

    block_sizes: NDArray[np.int64]

    def empty_rows(self, n: int) -> Rows:
        """Memory for n rows."""
        ...

    def read_into(self, made: Rows, block: int, places: NDArray[np.int64]) -> None:
        """Read the rows of a block and write each to its place, (rows,). Safe in several threads."""
        ...


@dataclass(eq=False)
class _Open:
    """A window that is read, or was.

    Attributes:
        start, stop: its rows in its lane.
        buffer: its rows in the order in which they are learned, with room for as many as the largest window has.
        parts: the blocks that are being read.
    """

    start: int
    stop: int
    buffer: Rows
    parts: list[Future[None]] = field(default_factory=list)


class LaneReader:
    """An iterator over this rank's share of each batch: inputs in stored dtype, (n, *shape), and targets, (n,).

    Each window has a buffer, into which threads put the rows of its blocks in their shuffled order, so that a batch is
    a run of each buffer. The windows are read in the order in which they are needed; so many at a time that a lane that
    comes to its next window finds it there (`read_ahead.windows_held`).

    Attributes:
        ids: (n,) int64, of the last batch.
        waited: seconds for which a batch was not there when it was asked for.
        blocks_read: number of blocks that were read.
    """

    def __init__(self, samples: Blocks, order: LaneOrder, group: Group, start: int, threads: int) -> None:
        """
        Args:
            start: the first step.
            threads: that read and decode blocks.
        """
        self._samples, self._order, self._start, self._threads = samples, order, start, threads
        self._own = order.lanes_of(group)
        self._most = windows_held(len(self._own), order.window)
        self._epoch = 0
        self._open: dict[Key, _Open] = {}
        self._free: list[Rows] = []
        self._none = samples.empty_rows(0)
        self.ids = torch.empty(0, dtype=torch.int64)
        self.waited = 0.0
        self.blocks_read = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        coming = _Coming(self._order, self._own, self._start)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="everlearn-read") as pool:
            try:
                self._read_ahead(coming, pool)
                for step in range(self._start, len(self._order)):
                    yield self._batch(step, coming, pool)
            finally:
                pool.shutdown(cancel_futures=True)
                self._open, self._free = {}, []

    def _batch(self, step: int, coming: _Coming, pool: ThreadPoolExecutor) -> tuple[Tensor, Tensor]:
        inputs, targets, ids = [], [], []
        # The samples that an epoch leaves out (`last_batch: drop`) end with it.
        epoch = self._order.spans(step)[0][0]
        if epoch > self._epoch:
            self._epoch = epoch
            self._open = {key: window for key, window in self._open.items() if key[0] >= epoch}
        for epoch, lane, start, stop in self._order.pieces(step, self._own):
            for key in self._order.windows_of(epoch, lane, start, stop):
                window = self._opened(key, coming, pool)
                begun = time.perf_counter()
                for part in window.parts:
                    part.result()
                self.waited += time.perf_counter() - begun
                window.parts.clear()
                rows = slice(max(start - window.start, 0), min(stop, window.stop) - window.start)
                buffer = window.buffer
                inputs.append(buffer.inputs[rows])
                targets.append(buffer.targets[rows])
                ids.append(buffer.ids[rows])
                if stop >= window.stop:
                    # Another thread may write into its buffer only when the batch has been copied.
                    coming.done.append(key)
        none = self._none
        made = _joined(inputs, none.inputs), _joined(targets, none.targets)
        self.ids = _joined(ids, none.ids)
        for key in coming.done:
            self._free.append(self._open.pop(key).buffer)
        coming.done.clear()
        self._read_ahead(coming, pool)
        return made

    def _opened(self, key: Key, coming: _Coming, pool: ThreadPoolExecutor) -> _Open:
        while key not in self._open:  # a batch may need more windows than are read ahead
            self._submit(next(coming), pool)
        return self._open[key]

    def _read_ahead(self, coming: _Coming, pool: ThreadPoolExecutor) -> None:
        while len(self._open) < self._most and (key := next(coming, None)) is not None:
            self._submit(key, pool)

    def _submit(self, key: Key, pool: ThreadPoolExecutor) -> None:
        epoch, lane, number = key
        window = self._order.epoch(epoch).window(lane, number)
        buffer = self._free.pop() if self._free else self._new_buffer()
        # Where each row of the window goes: the inverse of the order.
        places = np.empty(window.stop - window.start, dtype=np.int64)
        places[window.shuffled] = np.arange(len(places))
        opened = self._open[key] = _Open(window.start, window.stop, buffer)
        for block, first, end in zip(window.blocks, window.edges, window.edges[1:], strict=False):
            self.blocks_read += 1
            opened.parts.append(pool.submit(self._samples.read_into, buffer, int(block), places[first:end]))

    def _new_buffer(self) -> Rows:
        # Pages that no window reaches cost nothing.
        return self._samples.empty_rows(self._order.window * int(self._samples.block_sizes.max()))


class _Coming:
    """The windows of some lanes from a step on, in the order in which they are needed.

    Attributes:
        done: windows of which no row is needed any more, after the batch that is being made.
    """

    def __init__(self, order: LaneOrder, lanes: range, start: int) -> None:
        self.done: list[Key] = []
        self._order, self._lanes, self._start = order, lanes, start
        self._waiting: deque[Key] = deque()
        spans = order.spans(start) if start < len(order) else []
        self._epoch, self._at = (spans[0][0], spans[0][1]) if spans else (0, 0)
        self._last = order.spans(len(order) - 1)[-1][0] if spans else -1

    def __iter__(self) -> _Coming:
        return self

    def __next__(self) -> Key:
        while not self._waiting:
            if self._epoch > self._last:
                raise StopIteration
            self._waiting.extend(self._order.windows_from(self._epoch, self._at, self._lanes))
            self._epoch, self._at = self._epoch + 1, 0
        return self._waiting.popleft()


def _joined(parts: list[NDArray[Any]], empty: NDArray[Any]) -> Tensor:
    """The parts one behind the other, in memory of their own."""
    return torch.from_numpy(np.concatenate(parts) if parts else empty.copy())
