"""Memory for batches: used again when nobody has them, never while somebody has, and not kept whole by one of them."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.data.blocks.batch_memory import BatchMemory, Stretch
from pipelines.data.blocks.block_rows import Rows

KIND = Rows(np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def rows(first: int, count: int, width: int = 3) -> Rows:
    numbers = np.arange(first, first + count)
    return Rows(np.repeat(numbers[:, None], width, axis=1).astype(np.float32), numbers % 7, numbers)


def batch(stretch: Stretch, start: int, stop: int) -> torch.Tensor:
    return Rows(*(one[start:stop] for one in stretch.rows)).tensors()[0]


def test_memory_is_used_again_when_no_view_of_a_batch_is_left() -> None:
    memory = BatchMemory(KIND, 2, 5)
    first, second = memory.take(5), memory.take(4)
    assert memory.free == 0
    kept = batch(first, 1, 3)
    view = kept.detach()[:, 1:].t()  # what shares memory with a batch keeps it, whatever it is a view of
    memory.put(first.first + np.arange(5), rows(10, 5), slice(None))
    del kept
    memory.give_back(first)
    assert first.held and memory.free == 0
    other = memory.take(5)
    assert other is not first and other is not second
    memory.put(other.first + np.arange(5), rows(90, 5), slice(None))
    assert view.tolist() == [[11, 12], [11, 12]]
    del view
    gc.collect()
    assert memory.free == 1 and memory.take(5) is first


def test_rows_go_to_their_places_in_any_memory_and_those_without_a_place_nowhere() -> None:
    memory = BatchMemory(KIND, 2, 4)
    taken = [memory.take(4), memory.take(4), memory.take(9)]  # the last is larger than planned
    order = np.random.default_rng(0).permutation(17)
    where = np.concatenate([one.first + np.arange(len(one.rows.ids)) for one in taken])
    for one in taken:
        one.rows.ids[:] = -5
    places = np.full(20, -1)
    places[3:20] = where[order]
    memory.put(places, rows(100, 20), slice(None))
    found = np.concatenate([one.rows.ids for one in taken])
    assert found[order].tolist() == list(range(103, 120))
    for one in taken:
        assert one.rows.inputs[:, 2].tolist() == one.rows.ids.tolist()
        assert one.rows.targets.tolist() == (one.rows.ids % 7).tolist()
    memory.put(np.full(3, -1), rows(0, 3), slice(None))
    memory.put(np.empty(0, dtype=np.int64), rows(0, 0), slice(None))
    assert np.concatenate([one.rows.ids for one in taken]).tolist() == found.tolist()


@pytest.mark.skipif(sys.platform != "linux", reason="what is in memory is read from /proc")
def test_who_keeps_a_batch_keeps_the_memory_of_few() -> None:
    def resident() -> float:
        return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024

    wide = Rows(np.empty((0, 1024), dtype=np.float32), *KIND[1:])
    before = resident()
    memory = BatchMemory(wide, 16, 1024)  # 4 MiB each
    taken = [memory.take(1024) for _ in range(16)]
    for one in taken:
        memory.put(one.first + np.arange(1024), rows(7, 1024, 1024), slice(None))
    kept = batch(taken[3], 0, 2)
    assert resident() - before > 60
    memory.close()
    assert resident() - before < 24
    assert (kept == torch.tensor([[7.0], [8.0]])).all()
