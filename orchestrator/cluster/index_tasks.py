"""The index of data in lanes by tasks of a Ray cluster: files are read where the cluster is, and not by the driver.

A task takes several files and gives back their records, without any input. What the index holds does not depend on how
many tasks there were, nor on which of them were repeated because their worker or node was lost.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cluster.task_result import task_result
from orchestrator.errors import RayDied
from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.index_executor import in_threads

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.blocks.block_index import IndexedFile

SMALL_BYTES, FEW_FILES = 2**28, 200
"""What this process looks at itself: it has done so before tasks have started."""
_TASK_BYTES, _TASK_FILES = 2**28, 64
"""Of a task: short enough to be repeated at little cost, and long beside the time that a task takes by itself."""
_THREADS = 4
"""Of a task that reads from a server, whose answers it waits for most of the time."""
_RETRIES = 3
_AHEAD = 4
"""Tasks for each CPU of the cluster that are handed out at a time."""

Told = Callable[[int, int], object]
"""Called with the number of files that were read, and the number of all."""


@contextmanager
def index_executor(
    pipeline: Pipeline, address: str | None, told: Told, *, verbose: bool = False
) -> Iterator[IndexTasks | None]:
    """What looks at the files of a stream in lanes for a run, for the time of the block; None: it has no lanes.

    It connects to the cluster that trains when there is enough to look at; without one, this process looks.

    Args:
        address, verbose: as `orchestrator.cluster.connect.cluster`.

    Raises:
        ClusterError: the cluster cannot be reached, or a task failed and so did its repetitions.
    """
    from orchestrator.cluster.connect import cluster_when_needed
    from orchestrator.training.in_process import runs_in_this_process

    if pipeline.stream.lanes is None:
        yield None
    elif runs_in_this_process(pipeline.scaling, address):
        yield IndexTasks(None, told)
    else:
        with cluster_when_needed(address, pipeline.scaling, verbose=verbose) as connect:
            yield IndexTasks(connect, told)


@dataclass(frozen=True)
class IndexTasks:
    """A `pipelines.data.blocks.index_executor.Executor`.

    Attributes:
        connect: to the Ray cluster; called several times. None: there is none.
        told: of the progress.
        small: bytes of files that this process looks at itself, if they are few.
    """

    connect: Callable[[], None] | None
    told: Told = lambda done, of: None
    small: int = SMALL_BYTES

    def __call__(
        self, look: Callable[[IndexedFile], IndexedFile], files: Sequence[IndexedFile]
    ) -> Iterator[IndexedFile]:
        """Raises ClusterError, beside what `look` raises, and DataError: a node does not see a file."""
        few = len(files) <= FEW_FILES and sum(file.state.bytes for file in files) <= self.small
        if few or self.connect is None:
            found = in_threads(look, files)
        else:
            self.connect()
            found = _by_tasks(look, files)
        for done, one in enumerate(found, start=1):
            yield one
            self.told(done, len(files))


def _by_tasks(look: Callable[[IndexedFile], IndexedFile], files: Sequence[IndexedFile]) -> Iterator[IndexedFile]:
    import ray

    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    # In a list a reference stays one: Ray would fetch it before the task has the path of the user's own modules.
    what = [ray.put(look)]
    path = [one for one in sys.path if one]
    task = ray.remote(_looked).options(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")
    waiting: deque[Any] = deque()
    try:
        for some in shares(files, cpus):
            waiting.append(task.remote(what, path, some))
            if len(waiting) >= _AHEAD * cpus:
                yield from _taken(waiting)
        while waiting:
            yield from _taken(waiting)
    except RayDied:
        waiting.clear()  # the head that could cancel them does not answer
        raise
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _taken(waiting: deque[Any]) -> list[IndexedFile]:
    from orchestrator.cluster.liveness import while_ray_lives

    first = waiting.popleft()
    found: list[IndexedFile] = while_ray_lives(lambda: task_result(first, "makes the index of stream.lanes"))
    return found


def shares(files: Sequence[IndexedFile], cpus: int) -> list[list[IndexedFile]]:
    """The files of each task, in their order: some for each CPU, and of a limited size."""
    most = max(1, min(_TASK_FILES, -(-len(files) // cpus)))
    made: list[list[IndexedFile]] = []
    size = 0
    for file in files:
        if not made or len(made[-1]) >= most or size + file.state.bytes > _TASK_BYTES:
            made.append([])
            size = 0
        made[-1].append(file)
        size += file.state.bytes
    return made


def _looked(what: Sequence[Any], path: Sequence[str], files: Sequence[IndexedFile]) -> list[IndexedFile]:
    """The task."""
    import ray

    sys.path.extend(one for one in path if one not in sys.path)
    look: Callable[[IndexedFile], IndexedFile] = ray.get(what[0])

    def seen(file: IndexedFile) -> IndexedFile:
        refuse_unseen(file)
        return look(file)

    return list(in_threads(seen, files, _THREADS if files[0].location.remote else 1))


def refuse_unseen(file: IndexedFile) -> None:
    """Raise DataError when this node does not see a file that the driver sees."""
    if file.location.remote:
        return
    path, what = Path(file.location.path), ""
    if not path.exists():
        what = "does not see this path"
    elif path.is_file() and path.stat().st_size != file.state.bytes:
        what = f"has another file there, of {path.stat().st_size:,} bytes instead of {file.state.bytes:,}"
    if what:
        import socket

        raise DataError(
            f"{file.location.path}: node {socket.gethostname()} of the cluster {what}\n"
            "Put the data where every node sees them: into a shared folder or into S3 (s3://)"
        )
