"""The memory that reading takes: what the formula says, and what a process is measured to take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.blocks.read_ahead import ReaderMemory, reader_memory, windows_held
from strategies.loop.lanes import EpochLanes
from tests.pipelines.data.blocks.block_files import write

MEGABYTE = 1e6
_READ = """
import json, sys
from dataclasses import replace
from pathlib import Path
import torch
from pipelines.data.blocks.lane_reader import LaneReader
from pipelines.data.datasets.parquet import blocks
from pipelines.data.blocks.read_ahead import reader_memory
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings

def peak():
    # Not ru_maxrss, which begins with that of the process that started this one.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

found = blocks(None, sys.argv[1], test=sys.argv[1], test_fraction=0.2, inputs="x", label="label", id=None, classes=4,
               shape=None, channels="first")
samples = found.train
samples.take(torch.arange(2))
settings = TrainSettings(batch_size=256, lanes=int(sys.argv[2]), window=2)
bound = replace(reader_memory(samples, settings.lanes, settings.window, 1, 256), threads=2).bytes
before = peak()
for inputs, targets in LaneReader(samples, sample_order(samples, settings, 0, 0), Group(), 0, threads=2):
    pass
print(json.dumps({"bound": bound, "growth": peak() - before, "bytes": len(samples) * samples.row_bytes}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_reading_takes_no_more_memory_than_is_said(tmp_path: Path) -> None:
    rows, width, group = 50_000, 800, 1000
    inputs = np.random.default_rng(0).random((rows, width), dtype=np.float32)
    path = write(tmp_path / "large.parquet", inputs, np.arange(rows) % 4, [group] * (rows // group))
    command = [sys.executable, "-c", _READ, str(path), "2"]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert measured["growth"] <= measured["bound"] + 16 * MEGABYTE  # what threads and libraries take themselves
    assert measured["bound"] < 0.75 * measured["bytes"], "the data must be larger, or the test shows nothing"


@given(st.integers(1, 40), st.integers(1, 6), st.lists(st.integers(1, 9), min_size=1, max_size=200))
def test_so_many_windows_are_held_that_no_lane_waits(lanes: int, window: int, sizes: list[int]) -> None:
    """Lanes come to their next windows in turn: in one place of all lanes no more than are held in advance."""
    order = EpochLanes(np.array(sizes), lanes, window, 0, 0, 0)
    in_turn: dict[int, int] = {}
    for lane in range(lanes):
        for cut in order.cuts(lane)[1:-1].tolist():
            in_turn[cut] = in_turn.get(cut, 0) + 1
    assert max(in_turn.values(), default=0) <= windows_held(lanes, window) - lanes


def test_the_bound_says_what_it_consists_of() -> None:
    memory = ReaderMemory(lanes=16, window=4, rows=65_536, row_bytes=256, threads=4, batch=512)
    assert windows_held(16, 4) == 20
    assert memory.bytes == (20 * 4 * 65_536 * 280) + 4 * (2 * 65_536 * 272 + 2**25) + 2 * 512 * 272
    assert str(memory).startswith(
        "at most 1,745 MB in each worker: 20 windows of 4 blocks, and 4 threads with 2 copies"
    )
    assert reader_memory(object(), 4, 2, 1, 8) is None
