"""Reads the batches of an order in lanes: whole blocks, ahead of time, in threads and in bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.data.blocks.batch_memory import BatchMemory, Places, Stretch
from pipelines.data.blocks.block_rows import Rows
from pipelines.data.blocks.read_ahead import windows_held
from strategies.loop.lane_order import BatchPlaces, LaneOrder
from strategies.loop.process_group import Group

Key = tuple[int, int, int]
"""A window: epoch, lane, number within the lane."""
STRETCHES = 32
"""Into so many parts the memory for batches is divided: memory is used again a part at a time."""


class Blocks(Protocol):
    """What is read: samples in blocks.

    Attributes:
        block_sizes: (blocks,) int64, the rows of each block.
    """

    block_sizes: NDArray[np.int64]

    def empty_rows(self, n: int) -> Rows:
        """Memory for n rows."""
        ...

    def read_into(self, made: Places, block: int, places: NDArray[np.int64]) -> None:
        """Read the rows of a block and write each to its place, (rows,). Safe in several threads."""
        ...


@dataclass(eq=False)
class _Batches:
    """Some batches that follow each other.

    Attributes:
        first, stop: their steps.
        places: where rows lie in them.
        memory: None: no window with rows of them has been opened yet.
        limits: of each epoch that is in them, the first rows of the lanes, and those behind the last.
        reading: blocks of windows whose first rows are in them.
        ends: windows whose last rows are in them.
    """

    first: int
    stop: int
    places: BatchPlaces
    memory: Stretch | None = None
    limits: dict[int, tuple[list[int], list[int]]] = field(init=False)
    reading: list[Future[None]] = field(default_factory=list)
    ends: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        places, self.limits = self.places, {}
        for epoch in np.unique(places.epochs).tolist():
            first, last = np.searchsorted(places.epochs, [epoch, epoch + 1]) - [0, 1]
            self.limits[epoch] = places.starts[first].tolist(), places.stops[last].tolist()

    @property
    def rows(self) -> int:
        return int(self.places.edges[-1])


class LaneReader:
    """An iterator over this rank's share of each batch: inputs in stored dtype, (n, *shape), and targets, (n,).

    Where each row goes is known before it is read: threads put the rows of a block straight to their places in the
    memory of the batches (`BatchMemory`), which is used again when nobody has them any more. The windows are read in
    the order in which they are needed; so many at a time that a lane that comes to its next window finds it there
    (`read_ahead.windows_held`), as far as there is memory for all batches up to its end.

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
        self.ids = torch.empty(0, dtype=torch.int64)
        self.waited = 0.0
        self.blocks_read = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        with ThreadPoolExecutor(self._threads, thread_name_prefix="everlearn-read") as pool:
            reading = _Reading(self._samples, self._order, self._own, self._start, pool)
            try:
                while (batches := reading.next()) is not None:
                    begun = time.perf_counter()
                    for part in batches.reading:
                        part.result()
                    self.waited += time.perf_counter() - begun
                    self.blocks_read = reading.blocks_read
                    assert batches.memory is not None
                    edges = batches.places.edges.tolist()
                    for begin, end in pairwise(edges):
                        inputs, targets, self.ids = Rows(*(one[begin:end] for one in batches.memory.rows)).tensors()
                        yield inputs, targets
                        del inputs, targets
                    reading.done()
            finally:
                pool.shutdown(cancel_futures=True)
                self.ids = self.ids.clone()
                reading.memory.close()


class _Reading:
    """What is being read, and the batches that are planned.

    Attributes:
        memory: of the batches.
        blocks_read: number of blocks.
    """

    def __init__(self, samples: Blocks, order: LaneOrder, own: range, start: int, pool: ThreadPoolExecutor) -> None:
        self._samples, self._order, self._own, self._pool = samples, order, own, pool
        self._most = windows_held(len(own), order.window)
        self._planned: deque[_Batches] = deque()
        self._planned_to = start
        self._coming = _Coming(order, own, start)
        self._open: set[Key] = set()
        self.blocks_read = 0
        # As many rows as all windows may have that are held; of few data, no more than the epochs that these are from.
        one, left = order.epoch(0), max(1, len(order) - start)
        mine = sum(one.rows[lane] for lane in own)
        windows = sum(len(one.cuts(lane)) - 1 for lane in own)
        held = self._most * order.window * int(samples.block_sizes.max())
        held = min(held, mine * (self._most // max(1, windows) + 2))
        batch = max(1.0, order.batch_size * mine / sum(one.rows))
        self._steps = max(1, min(int(held / STRETCHES / batch), left))
        rows = int(np.ceil(self._steps * batch)) + (len(own) if len(own) < order.lanes else 0)
        self.memory = BatchMemory(samples.empty_rows(0), min(max(2, held // rows), -(-left // self._steps)), rows)

    def next(self) -> _Batches | None:
        """The next batches, with all windows that they need being read; None: there are no more."""
        self._read_ahead()
        batches = self._at(0)
        if batches is None:
            return None
        for epoch, limits in batches.limits.items():
            for lane, start, stop in zip(self._own, *limits, strict=True):
                needed = self._order.windows_of(epoch, lane, start, stop) if stop > start else []
                while not self._open.issuperset(needed):  # a batch may need more windows than are read ahead
                    self._opened(self._coming.pop(), ahead=False)
        if batches.memory is None:  # without rows
            batches.memory = self.memory.take(batches.rows)
        return batches

    def done(self) -> None:
        """The next batches have been given."""
        batches = self._planned.popleft()
        assert batches.memory is not None
        self.memory.give_back(batches.memory)
        self._open.difference_update(batches.ends)

    def _read_ahead(self) -> None:
        while len(self._open) < self._most and (key := self._coming.peek()) is not None:
            if not self._opened(key, ahead=True):
                return
            self._coming.pop()

    def _opened(self, key: Key, *, ahead: bool) -> bool:
        """Have a window read; False: there is no memory for all batches that it is in, and it is not needed yet."""
        epoch, lane, number = key
        window = self._order.epoch(epoch).window(lane, number)
        batches = list(self._batches_of(epoch, lane - self._own.start, window.start, window.stop))
        if ahead and sum(one.memory is None for one in batches) > self.memory.free:
            return False
        # Where each row of the window goes, in the order in which they are learned; rows that no batch takes, nowhere.
        order = np.full(window.stop - window.start, -1, dtype=np.int64)
        for one in batches:
            if one.memory is None:
                one.memory = self.memory.take(one.rows)
            start, places = one.places.of(epoch, lane - self._own.start, window.start, window.stop)
            order[start - window.start :][: len(places)] = places + one.memory.first
        places = np.empty_like(order)
        places[window.shuffled] = order
        if batches:
            self._open.add(key)
            batches[-1].ends.append(key)
        for block, first, end in zip(window.blocks, window.edges, window.edges[1:], strict=False):
            self.blocks_read += 1
            part = self._pool.submit(self._samples.read_into, self.memory, int(block), places[first:end])
            if batches:
                batches[0].reading.append(part)
        return True

    def _batches_of(self, epoch: int, lane: int, start: int, stop: int) -> Iterator[_Batches]:
        """The batches in which some rows of a lane are."""
        number = 0
        while (batches := self._at(number)) is not None and min(batches.limits) <= epoch:
            number += 1
            if epoch in batches.limits:
                first, end = (limit[lane] for limit in batches.limits[epoch])
                if max(first, start) < min(end, stop):
                    yield batches
                if end >= stop:
                    return

    def _at(self, number: int) -> _Batches | None:
        """Planned batches, counted from the next ones; None: there are not so many steps."""
        while len(self._planned) <= number:
            first, stop = self._planned_to, min(self._planned_to + self._steps, len(self._order))
            if first == stop:
                return None
            self._planned.append(_Batches(first, stop, self._order.batch_places(first, stop, self._own)))
            self._planned_to = stop
        return self._planned[number]


class _Coming:
    """The windows of some lanes from a step on, in the order in which they are needed."""

    def __init__(self, order: LaneOrder, lanes: range, start: int) -> None:
        self._order, self._lanes, self._start = order, lanes, start
        self._waiting: deque[Key] = deque()
        spans = order.spans(start) if start < len(order) else []
        self._epoch, self._at = (spans[0][0], spans[0][1]) if spans else (0, 0)
        self._last = order.spans(len(order) - 1)[-1][0] if spans else -1

    def peek(self) -> Key | None:
        """The next window, which stays the next; None: there is none."""
        while not self._waiting and self._epoch <= self._last:
            self._waiting.extend(self._order.windows_from(self._epoch, self._at, self._lanes))
            self._epoch, self._at = self._epoch + 1, 0
        return self._waiting[0] if self._waiting else None

    def pop(self) -> Key:
        """The next window."""
        self.peek()
        return self._waiting.popleft()
