"""Reading ahead in threads, and how much a reader of lanes holds in memory: the windows at hand, those that come next,
and blocks being decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pipelines.data.blocks.blockwise import Blockwise

Given = TypeVar("Given")

THREADS = 4
"""Threads that read and decode blocks."""
COPIES = 2
"""Copies of a block while it is read: as it is stored, and once more while it comes from a server."""
THREAD_BYTES = 2**25
"""Of a thread that decodes: some copies of a piece of a block (`block_source.PIECE_BYTES`), and what it does not give
back to the system."""
NUMBERS_BYTES = 16
"""Of a row besides its input: its target and its id."""
ORDER_BYTES = 8
"""Of a row that is waited for: its place in the order."""


def windows_held(lanes: int, window: int) -> int:
    """Windows that a reader holds: one for each lane that it serves, and one more for each lane that comes to its end.

    In `loop.lanes`, no more than lanes / window lanes, rounded up, begin a window at the same time.
    """
    return lanes + -(-lanes // window)


@dataclass(frozen=True)
class ReaderMemory:
    """What bounds the memory of one worker's reader.

    Attributes:
        lanes: that the worker serves.
        window: blocks in a window.
        rows: of the largest block.
        row_bytes: of an input.
        threads: that decode blocks.
        batch: samples in a batch.
    """

    lanes: int
    window: int
    rows: int
    row_bytes: int
    threads: int
    batch: int

    @property
    def bytes(self) -> int:
        """At most so many bytes, beside the process itself and its model."""
        row = self.row_bytes + NUMBERS_BYTES
        # Learning holds windows; evaluation, a block for each thread, one at hand and one more.
        blocks = max(windows_held(self.lanes, self.window) * self.window, self.threads + 2)
        threads = self.threads * (COPIES * self.rows * row + THREAD_BYTES)
        return blocks * self.rows * (row + ORDER_BYTES) + threads + 2 * self.batch * row

    def __str__(self) -> str:
        held = windows_held(self.lanes, self.window)
        return (
            f"at most {self.bytes / 1e6:,.0f} MB in each worker: {held} windows of {self.window} blocks, and "
            f"{self.threads} threads with {COPIES} copies of a block; blocks of up to {self.rows:,} rows of "
            f"{self.row_bytes:,} bytes"
        )


def reader_memory(samples: object, lanes: int | None, window: int, workers: int, batch: int) -> ReaderMemory | None:
    """What reading samples takes in each worker; None for samples in memory.

    Args:
        workers: the fewest that train: each then serves the most lanes.
        batch: samples in a batch.
    """
    if not isinstance(samples, Blockwise) or lanes is None:
        return None
    return ReaderMemory(-(-lanes // workers), window, samples.largest_block, samples.row_bytes, THREADS, batch)


def read_ahead(pool: ThreadPoolExecutor, read: Callable[[int], Given], blocks: Iterable[int]) -> Iterator[Given]:
    """What `read` returns for each block, in their order; at most one more than there are threads at a time."""
    waiting: deque[Future[Given]] = deque()
    coming = iter(blocks)
    try:
        while True:
            while len(waiting) < THREADS + 1 and (block := next(coming, None)) is not None:
                waiting.append(pool.submit(read, block))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
