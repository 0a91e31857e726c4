"""What the driver's own steps cost as streams, searches and clusters grow: `python -m tests.benchmarks.scale`.

Of each step the time at growing sizes, and the slope of its logarithm over the size's: 1 is linear. A commit holds the
counts of its model on all test sets of the stream, so that what is done for one commit is at best linear in the stream,
and what is done for a whole stream linear in the entries of its accuracy matrix. Everything is measured here, in one
process, without the learning.
"""

from __future__ import annotations

import copy
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.lineage.running_matrix import Course
from orchestrator.storage.open_by_uri import open_store
from orchestrator.tracking.metric_points import child_points, parent_points
from orchestrator.tuning.search_space import random_settings
from orchestrator.tuning.trial_record import Records, TrialRecord
from orchestrator.tuning.trial_score import best, pareto_front
from pipelines.config.load import load_text
from pipelines.data.streams import Stream
from strategies.loop.lane_order import LaneOrder
from strategies.loop.lanes import EpochLanes
from strategies.loop.process_group import Group
from tests.benchmarks import lane_files

EXPERIENCES = (10, 100, 1000)
TRIALS = (10, 100, 1000, 10_000)
WORKERS = (1, 10, 100, 1000)
BLOCKS = (153, 1526, 15_259)
ROWS_A_GROUP = 65_536
# Shorter than this says more of the clock than of the step.
_SHORTEST_S = 0.05

PIPELINE = load_text(
    "name: scale\nstream: {dataset: digits, setting: domain-incremental, transform: permute, experiences: 2}\n"
    "model: mlp\nstrategy: [{name: ewc, lambda: 10}, {name: replay}]\n"
    'tune: {space: {"strategy.ewc.lambda": {loguniform: [1, 1000]}, "train.optimizer.lr": {uniform: [0.001, 0.1]}}}\n'
)


@dataclass(frozen=True)
class Growth:
    """Attributes:
    seconds: by size.
    """

    seconds: dict[int, float]

    @property
    def slope(self) -> float:
        """Between the two largest sizes."""
        (small, before), (large, after) = sorted(self.seconds.items())[-2:]
        return math.log(after / before) / math.log(large / small)


def growth(sizes: Sequence[int], prepare: Callable[[int], Callable[[], object]]) -> Growth:
    """The CPU time of what `prepare` makes for each size."""
    return Growth({size: _seconds(prepare(size)) for size in sizes})


def _seconds(work: Callable[[], object]) -> float:
    work()
    rounds, spent = 0, 0.0
    while spent < _SHORTEST_S:
        started = time.process_time()
        work()
        spent += time.process_time() - started
        rounds += 1
    return spent / rounds


def measure() -> Iterator[tuple[str, Growth]]:
    """Step by step."""
    with tempfile.TemporaryDirectory(prefix="everlearn-scale-") as folder:
        yield "plan of the commits", growth(EXPERIENCES, _plan)
        yield "reading one commit of the chain", growth(EXPERIENCES, lambda size: _reading(size, folder))
        yield "matrix and metrics, one more commit", growth(EXPERIENCES, _matrix)
        yield "points for MLflow, one more commit", growth(EXPERIENCES, _points)
        yield "settings of a random search", growth(TRIALS, _settings)
        yield "a trial's end: its record", growth(TRIALS, lambda size: _record(size, folder))
        yield "the best trial", growth(TRIALS, _best)
        yield "the Pareto front", growth(TRIALS, _front)
        yield "workers of a run, as Ray Train is told", growth(WORKERS, _workers)
    yield "lanes: an epoch's order, by row groups of 65,536 rows", growth(BLOCKS, _lanes)
    yield "lanes: the first batch of a resume in mid-epoch", growth(BLOCKS, lambda size: _resume(size, 64))
    yield "lanes: each further batch of 1024", growth(BLOCKS, _next_batch)
    for name, prepare in lane_files.STEPS.items():
        yield name, growth(lane_files.FILES, prepare)


def _plan(size: int) -> Callable[[], object]:
    stand_in = SimpleNamespace(
        setting="domain-incremental", input_shape=(1, 8, 8), outputs=10, preprocessing=None, layout=None, settings={}
    )
    stand_in.fingerprint = stand_in.test_fingerprint = lambda index: f"{index:064x}"

    class Length(SimpleNamespace):
        def __len__(self) -> int:
            return size

    return lambda: make_plan(PIPELINE, cast(Stream, Length(**vars(stand_in))))


def commits(size: int, last: int = 2) -> list[Commit]:
    """A chain; only the `last` commits know all test sets, which saves the time to make the others."""
    chain: list[Commit] = []
    for index in range(size):
        tests = range(size) if index >= size - last or index == 0 else (index,)
        row = [{"experience": j, "test": f"{j:064x}", "correct": (index + j) % 100, "total": 100} for j in tests]
        chain.append(
            Commit.create(
                parent=chain[-1].id if chain else None,
                pipeline="scale",
                experience={"index": index, "task": index, "classes": [0], "fingerprint": str(index), "samples": 1},
                spec={"outputs": 10},
                row=row,
                blobs={},
                timings={"learn": 1.0},
            )
        )
    return chain


def _reading(size: int, folder: str) -> Callable[[], object]:
    lineage = Lineage(open_store(f"{folder}/{size}"), "scale")
    newest = commits(size)[-1]
    lineage.store.put(f"scale/commits/{newest.id}.json", newest.to_json())
    return lambda: lineage.read(newest.id)


def _matrix(size: int) -> Callable[[], object]:
    chain = commits(size)
    course = Course().follow(chain[:-1])

    def add() -> None:
        another = copy.copy(course)
        another._running, another.rows, another.summaries = copy.copy(course._running), course.rows, []
        another._take(chain[-1], size - 1)
        course.rows.pop()

    return add


def _points(size: int) -> Callable[[], object]:
    chain = commits(size)
    course = Course().follow(chain)

    def make() -> None:
        child_points(chain, size - 1, course)
        list(parent_points(chain, size, size - 1, course=course))

    return make


def _settings(size: int) -> Callable[[], object]:
    assert PIPELINE.tune is not None
    space = PIPELINE.tune.space
    return lambda: list(islice(random_settings(space, 0), size))


def _trial(number: int) -> TrialRecord:
    value = (number * 7919 % 10_007) / 10_007
    metrics: dict[str, float | None] = {"average_accuracy": value, "forgetting": value**2}
    return TrialRecord(number=number, settings={"train.optimizer.lr": value}, state="done", of=1, history=[metrics])


def _record(size: int, folder: str) -> Callable[[], object]:
    kept = Records(Lineage(open_store(f"{folder}/trials-{size}"), "scale"), "0" * 16)
    kept.write(_trial(0))
    (first,) = (path for path in Path(f"{folder}/trials-{size}").rglob("*.json") if path.is_file())
    for number in range(1, size):
        (first.parent / f"other-{number}.json").write_bytes(b"{}")
    return lambda: kept.write(_trial(size))


def _order(size: int) -> LaneOrder:
    """The order of one epoch of so many row groups: 15,259 of them are 10^9 rows."""
    sizes = np.full(size, ROWS_A_GROUP, dtype=np.int64)
    return LaneOrder(size * ROWS_A_GROUP, 1024, 1, None, 0, 0, sizes=sizes, lanes=64)


def _lanes(size: int) -> Callable[[], object]:
    sizes = np.full(size, ROWS_A_GROUP, dtype=np.int64)
    return lambda: EpochLanes(sizes, 64, 4, 0, 0, 0)


def _resume(size: int, workers: int) -> Callable[[], object]:
    return lambda: next(_order(size).shares(Group(0, workers), size * ROWS_A_GROUP // 2048))


def _next_batch(size: int) -> Callable[[], object]:
    shares = _order(size).shares(Group(0, 64), size * ROWS_A_GROUP // 2048)
    next(shares)
    return lambda: next(shares)


def _metrics(size: int) -> dict[int, Any]:
    return {number: _trial(number).metrics for number in range(size)}


def _best(size: int) -> Callable[[], object]:
    done = _metrics(size)
    return lambda: best(done, "average_accuracy", "max")


def _front(size: int) -> Callable[[], object]:
    done = _metrics(size)
    return lambda: pareto_front(done, ["average_accuracy", "forgetting"], ["max", "min"])


def _workers(size: int) -> Callable[[], object]:
    from orchestrator.cluster.connect import worker_resources
    from orchestrator.training.driver import with_workers

    wide = load_text("name: scale\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\ntrain: {batch_size: 4096}\n")
    return lambda: worker_resources(with_workers(wide, size).scaling)


def main() -> None:
    for name, found in measure():
        times = "   ".join(f"{size:>6,}: {1000 * seconds:10.3f} ms" for size, seconds in found.seconds.items())
        print(f"{name:42} slope {found.slope:5.2f}   {times}", flush=True)
    lane_files.main()


if __name__ == "__main__":
    main()
