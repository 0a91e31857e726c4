"""Reading in lanes: throughput against a plain scan of the same row groups, waiting, and memory.

`make bench ARGS="lanes megabytes=3000"`; by default 400 MB. The scan and the reader run in turns, with the same number
of threads, and both end with the rows as numpy arrays: the ratio is that of their CPU time and of their wall time.
An experience is read three times by one reader, as one three times as long would be: so its windows are larger than
the memory for them, which is taken once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import pyarrow
import yaml
from pyarrow import parquet
from torch import Tensor

from pipelines.build import make_learner, train_settings
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.blocks.lane_reader import LaneReader
from pipelines.data.blocks.read_ahead import THREADS, ReaderMemory, reader_memory
from pipelines.data.streams import build_stream
from strategies.loop.lane_order import LaneOrder
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from tests.benchmarks.large_parquet import write_large

LANES, WINDOW, BATCH = 8, 2, 512
PASSES = 3


@dataclass(frozen=True)
class Throughput:
    """Attributes:
    wall, cpu: of the scan, divided by those of the reader: above 1 the reader is faster.
    megabytes: a second, of the reader.
    waiting: share of the time of a pass of learning in which a batch that the learner asks for has not been read.
    handing: the same, with the time that putting the batch together takes.
    """

    wall: float
    cpu: float
    megabytes: float
    waiting: float
    handing: float


def pipeline_of(folder: Path) -> Pipeline:
    # A file with test rows: all rows of the others are trained on, as they are scanned.
    return load_text(
        f"name: lanes\nstream: {{dataset: {{name: parquet, path: {folder / 'train'}, test: {folder / 'test'}}}, "
        f"setting: domain-incremental, lanes: {LANES}, window: {WINDOW}}}\nmodel: {{name: mlp, hidden: [400, 400]}}\n"
        f"strategy: [{{name: replay, capacity: 500}}]\ntrain: {{epochs: 1, batch_size: {BATCH}}}\n"
        f"storage: {folder}/store\n"
    )


def write(folder: Path, megabytes: float) -> int:
    write_large(folder / "test", 1)
    return write_large(folder / "train", megabytes)


def scan(files: list[Path]) -> None:
    """Every row group, by the same number of threads as the reader has."""

    def read(path: Path, group: int) -> None:
        with pyarrow.OSFile(str(path)) as raw:
            table = parquet.ParquetFile(raw, pre_buffer=False).read_row_group(group, use_threads=False)
            table["x"].combine_chunks().flatten().to_numpy()

    groups = [(path, group) for path in files for group in range(parquet.read_metadata(path).num_row_groups)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda one: read(*one), groups))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def throughput(folder: Path, rounds: int = 5) -> Throughput:
    """Of the files that `write` wrote."""
    pipeline = pipeline_of(folder)
    stream = build_stream(pipeline.stream, pipeline.seed)
    settings = replace(train_settings(pipeline, 0), epochs=PASSES)
    samples = [one.train for one in stream]

    def read() -> None:
        for one in samples:
            assert isinstance(one, BlockSamples)
            for _ in LaneReader(one, sample_order(one, settings, 0, 0), Group(), 0, THREADS):  # type: ignore[arg-type]
                pass

    files = sorted((folder / "train").glob("*.parquet"))
    walls, cpus, seconds = [], [], []
    for _ in range(rounds):
        (scan_wall, scan_cpu), (wall, cpu) = _timed(lambda: scan(files * PASSES)), _timed(read)
        walls.append(scan_wall / wall)
        cpus.append(scan_cpu / cpu)
        seconds.append(wall)
    size = PASSES * sum(file.stat().st_size for file in files) / 1e6
    return Throughput(median(walls), median(cpus), size / median(seconds), *_waiting(pipeline))


class _Timed(LaneReader):
    """Attributes:
    handing: seconds that each batch took, from when it was asked for.
    """

    handing = 0.0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = super().__iter__()
        while True:
            begun = time.perf_counter()
            batch = next(batches, None)
            self.handing += time.perf_counter() - begun
            if batch is None:
                return
            yield batch


def _waiting(pipeline: Pipeline) -> tuple[float, float]:
    stream = build_stream(pipeline.stream, pipeline.seed)
    learner = make_learner(pipeline, stream, Group())
    readers: list[_Timed] = []
    train = stream[0].train
    assert isinstance(train, BlockSamples)

    def noted(order: LaneOrder, group: Group, start: int = 0) -> LaneReader:
        readers.append(_Timed(train, order, group, start, THREADS))
        return readers[-1]

    train.lane_batches = noted  # type: ignore[method-assign]
    wall, _ = _timed(lambda: list(learner.steps(stream[0], train_settings(pipeline, 0))))
    return readers[0].waited / wall, readers[0].handing / wall


def peak(folder: Path) -> dict[str, float]:
    """Megabytes: `before`, after a file of 1 MB was learned, the `peak` after all, and the `bound` of reading."""
    command = [sys.executable, "-m", "tests.benchmarks.lanes", str(folder)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def _learn(folder: Path) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    pipeline = pipeline_of(folder)
    stream = build_stream(pipeline.stream, pipeline.seed)
    learner = make_learner(pipeline, stream, Group())
    bound = reader_memory(stream[0].train, LANES, WINDOW, 1, BATCH)
    assert isinstance(bound, ReaderMemory)
    small = load_text(yaml.safe_dump(pipeline.to_document()).replace(str(folder / "train"), str(folder / "test")))
    few = build_stream(small.stream, small.seed)
    warm = make_learner(small, few, Group())
    warm.learn(few[0], train_settings(small, 0))
    warm.evaluate(list(few))
    before = _peak()
    for index, experience in enumerate(stream):
        learner.learn(experience, train_settings(pipeline, index))
    learner.evaluate(list(stream))
    return {"before": before, "peak": _peak(), "bound": bound.bytes / 1e6}


def _peak() -> float:
    # Not ru_maxrss, which begins with that of the process that started this one.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def main(megabytes: float = 400, rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as name:
        folder = Path(name)
        rows = write(folder, megabytes)
        print(f"Reading {megabytes:.0f} MB of parquet, {rows:,} rows, in {LANES} lanes, windows of {WINDOW} row groups")
        found = throughput(folder, rounds)
        print(f"  a plain scan takes {found.wall:.2f} of the reader's time, {found.cpu:.2f} of its CPU time")
        print(
            f"  {found.megabytes:.0f} MB a second; learning an MLP waits for blocks {100 * found.waiting:.1f} % of its "
            f"time, and {100 * found.handing:.1f} % until it has its batches"
        )
        memory = peak(folder)
        grown = memory["peak"] - memory["before"]
        print(
            f"  learning all of it: peak {memory['peak']:.0f} MB, {grown:.0f} MB more than for a file of 1 MB; "
            f"the bound for reading is {memory['bound']:.0f} MB"
        )


if __name__ == "__main__":
    print(json.dumps(_learn(Path(sys.argv[1]))))
