"""Shuffling parquet files by tasks of a Ray cluster: each deals some row groups, or shuffles one part of the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.cluster.task_result import task_result

if TYPE_CHECKING:
    from pipelines.data.blocks.shuffle_rows import Dealing, Run, Way

_RETRIES = 3


@contextmanager
def shuffle_tasks(workers: int | None, address: str | None) -> Iterator[Way]:
    """What deals and shuffles the rows for `shuffle_rows.shuffle` on a Ray cluster, for the time of the block.

    Rows are dealt and shuffled in the same way by any number of tasks, and so are what one process makes of them. The
    parts lie in the cluster's object store, which Ray moves to its disks when it is full. A task whose worker fails is
    repeated.

    Args:
        workers: tasks at a time; None: one for each CPU of the cluster.
        address: of the cluster; None: RAY_ADDRESS, else a local one.

    Raises:
        ClusterError: it cannot be reached, or a task failed.
    """
    import ray

    from orchestrator.cluster.connect import cluster
    from pipelines.config.sections.scaling_section import ScalingSpec

    with cluster(address, ScalingSpec(workers=workers or 1)):
        yield partial(_shuffled, workers or max(1, int(ray.cluster_resources().get("CPU", 1))))


def _shuffled(workers: int, dealing: Dealing, folder: Path, told: Callable[[int], object]) -> Iterator[Any]:
    """As `shuffle_rows.Way`."""
    import pyarrow
    import ray

    deal = ray.remote(_dealt).options(num_cpus=1, num_returns=dealing.parts, max_retries=_RETRIES)
    join = ray.remote(_joined).options(num_cpus=1, max_retries=_RETRIES)
    what = ray.put(dealing)
    dealt: list[list[Any]] = []
    waiting: dict[Any, int] = {}
    done = 0

    def wait(most: int) -> None:
        nonlocal done
        while len(waiting) > most:
            (ready, *_), _ = ray.wait(list(waiting))
            task_result(ready, "shuffles")
            done += waiting.pop(ready)
            told(done)

    for run in dealing.runs:
        wait(workers - 1)
        made = deal.remote(what, run)
        dealt.append(made if dealing.parts > 1 else [made])
        waiting[dealt[-1][0]] = run.rows
    wait(0)
    joins: deque[Any] = deque()
    for part in range(dealing.parts):
        joins.append(join.remote(what, part, *[pieces[part] for pieces in dealt]))
        for pieces in dealt:
            pieces[part] = None  # so that the store may forget it
        if len(joins) > workers:
            yield pyarrow.ipc.open_file(task_result(joins.popleft(), "shuffles")).read_all()
    while joins:
        yield pyarrow.ipc.open_file(task_result(joins.popleft(), "shuffles")).read_all()


def _dealt(dealing: Dealing, run: Run) -> Any:
    """The rows of a run that each part gets, as bytes of an arrow file."""
    import pyarrow

    sinks = [pyarrow.BufferOutputStream() for _ in range(dealing.parts)]
    writers = [pyarrow.ipc.new_file(sink, dealing.schema) for sink in sinks]
    for pieces in dealing.dealt(run):
        for part, rows in pieces:
            writers[part].write_batch(rows)
    for writer in writers:
        writer.close()
    made = [np.frombuffer(sink.getvalue(), dtype=np.uint8) for sink in sinks]
    return made if len(made) > 1 else made[0]


def _joined(dealing: Dealing, part: int, *pieces: Any) -> Any:
    """A part, shuffled, as bytes of an arrow file."""
    import pyarrow

    table = pyarrow.concat_tables(pyarrow.ipc.open_file(piece).read_all() for piece in pieces)
    made = dealing.shuffled(part, table)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, dealing.schema) as writer:
        writer.write_table(made)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)
