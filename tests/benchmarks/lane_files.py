"""What data of many files costs before the first row is read: the index, the plan, and the first batch of a resume.

By simulation: 100,000 files of 10,000 rows each, which nobody wrote. `tests.benchmarks.scale` measures the times.
"""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Callable
from functools import cache

import numpy as np

from pipelines.data.blocks.block_index import BlockIndex, IndexedFile
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.blocks.block_source import BlockSource
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.labels import LabelMap
from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.datasets.tables import TableFiles
from strategies.loop.lane_order import LaneOrder
from strategies.loop.process_group import Group

FILES = (1000, 10_000, 100_000)
ROWS_A_FILE = 10_000
WORKERS = 64
READER = ParquetBlocks(Columns.of("x", "label", None))


class _Kept:
    """A `pipelines.data.blocks.block_index.IndexStore`."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def load(self) -> bytes:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data


@cache
def stored_index(size: int) -> _Kept:
    """The index of so many files of one row group and ten classes each: 100,000 of them are 10^9 rows."""
    rows, counts = np.array([ROWS_A_FILE]), np.full((1, 10), ROWS_A_FILE // 10, dtype=np.uint32)
    files = [
        IndexedFile(
            Location(f"s3://bucket/clicks/2026/{number:09}.parquet"),
            FileState(1_000_000 + number, number),
            rows,
            tuple(range(10)),
            counts,
            np.frombuffer(number.to_bytes(16, "little"), dtype=np.uint8)[None],
        ).document()
        for number in range(size)
    ]
    return _Kept(json.dumps({"format": 1, "reader": READER.describe(), "files": files}).encode())


def _index(size: int) -> Callable[[], object]:
    kept = stored_index(size)
    return lambda: BlockIndex(READER, kept)


@cache
def block_samples(size: int) -> BlockSamples:
    index = BlockIndex(READER, stored_index(size))
    options = TableFiles.of(READER, "clicks", None, 0.2, 10, None, "first")
    return BlockSamples(BlockSource(READER, options, list(index._known.values()), LabelMap(10), index))


def _source(size: int) -> Callable[[], object]:
    block_samples.cache_clear()
    return lambda: block_samples.__wrapped__(size)


def _fingerprint(size: int) -> Callable[[], object]:
    samples = block_samples(size)
    return lambda: samples.fingerprint(None)


def _resume_files(size: int) -> Callable[[], object]:
    sizes = block_samples(size).block_sizes
    n = int(sizes.sum())

    def first() -> None:
        order = LaneOrder(n, 1024, 1, None, 0, 0, sizes=sizes, lanes=WORKERS)
        next(order.shares(Group(0, WORKERS), n // 2048))

    return first


def memory(size: int) -> tuple[float, float]:
    """MB that the driver holds for an experience of so many files: with the index, and what a worker is sent of it."""
    tracemalloc.start()
    try:
        samples = block_samples.__wrapped__(size)
        return tracemalloc.get_traced_memory()[0] / 1e6, len(pickle.dumps(samples)) / 1e6
    finally:
        tracemalloc.stop()


STEPS: dict[str, Callable[[int], Callable[[], object]]] = {
    "lanes: the index of files is read": _index,
    "lanes: an experience of files, from it": _source,
    "lanes: its fingerprint": _fingerprint,
    "lanes: its first batch of a resume": _resume_files,
}


def main() -> None:
    for size in FILES:
        held, sent = memory(size)
        print(
            f"lanes: {size * ROWS_A_FILE:>13,} rows in {size:>7,} files: {held:.1f} MB in the driver, "
            f"{sent:.1f} MB sent to each worker",
            flush=True,
        )
