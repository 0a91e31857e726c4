"""One Ray Train run that takes all experiences that are left: its workers start once and stay warm."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import ray
import yaml
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util import remove_placement_group
from ray.util.placement_group import PlacementGroup

from orchestrator.cluster.connect import worker_resources
from orchestrator.cluster.liveness import while_ray_lives
from orchestrator.cluster.worker_failures import DeathNotes, deaths
from orchestrator.errors import RunFailed, StorageError
from orchestrator.events import Event, EventPump, Handler, as_error, event_buffer
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.ray_filesystem import ray_filesystem
from orchestrator.training.worker import train_loop

if TYPE_CHECKING:
    from orchestrator.lineage.plan import PlannedCommit
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream

MAX_FAILURES = 3
# An elastic group that finds no place is given up, and its size decided anew, in a tenth of the time of another.
_ELASTIC_TRIES = 10


def train_on_cluster(
    pipeline: Pipeline,
    stream: Stream,
    plan: Sequence[PlannedCommit],
    handler: Handler,
    *,
    workers: int | None = None,
    resources: Mapping[str, float] | None = None,
    ref: str | None = "latest",
) -> None:
    """Train a pipeline's remaining experiences on the Ray cluster that this process is connected to.

    Workers that die are replaced, and go on after the last checkpoint or commit. A run may lose as many as it likes, as
    long as it gets on: it ends when one of Ray Train's runs, of `MAX_FAILURES` + 1 deaths, has kept nothing.

    Args:
        handler: hears the events of the workers, in a thread of its own.
        workers: how many; None: as the pipeline says, elastic if it says so.
        resources: of each worker, by Ray's names; None: as the pipeline says.
        ref: the name to move to every new commit, None for no name.

    Raises:
        RunFailed, StorageError, PipelineError, StrategyError: what a worker met, or that too many workers died.
    """
    scaling = pipeline.scaling
    number: int | tuple[int, int] = workers or scaling.minimum
    if workers is None and scaling.minimum < scaling.maximum:
        number = (scaling.minimum, scaling.maximum)
    tries = (MAX_FAILURES + 1) * (_ELASTIC_TRIES if isinstance(number, tuple) else 1)
    each = worker_resources(scaling) if resources is None else dict(resources)
    gpu = each.get("GPU", 0) > 0
    names: list[str] = []
    filesystem, root = ray_filesystem(pipeline.storage)
    buffer = event_buffer()

    def trainer() -> TorchTrainer:
        # Named anew each time: the lineage says where to go on, and Ray Train takes a finished name for finished work.
        names.append(f"{plan[-1].id[:12]}-{uuid.uuid4().hex[:8]}")
        return TorchTrainer(
            train_loop,
            train_loop_config={
                "document": yaml.safe_dump(pipeline.to_document(), sort_keys=False),
                "source": pipeline.name,
                "plan": list(plan),
                "storage": open_store(pipeline.storage).uri,
                "stream": ray.put(stream),
                "events": buffer,
                "search_path": [p for p in sys.path if p],
                "threads": max(1, int(each.get("CPU", 1))),
                "ref": ref,
            },
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=number, use_gpu=gpu, resources_per_worker=each),
            run_config=RunConfig(
                name=names[-1],
                storage_path=f"{root}/{pipeline.name}/runs",
                storage_filesystem=filesystem,
                callbacks=[DeathNotes(buffer)],
                failure_config=FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=tries - 1),
            ),
        )

    watch = Watch(handler)
    pump = EventPump(buffer, watch)
    failure: Exception | None = None
    in_vain = 0
    try:
        while in_vain <= MAX_FAILURES:
            before = watch.kept
            try:
                while_ray_lives(lambda: trainer().fit())
                failure = None
                break
            except ray.train.TrainingFailedError as error:
                failure, died = error, MAX_FAILURES + 1
            except ray.exceptions.RayError as error:
                failure, died = error, 1  # its controller died, which Ray does not mend by itself
                pump.tell({"kind": "restart", "text": "the controller of Ray Train died; it is started again"})
            pump.drain()
            watch.free()
            if pump.error is not None:
                break
            in_vain = 0 if watch.kept > before else in_vain + died
    finally:
        pump.close()
    if failure is None and pump.error is None:
        _sweep(pipeline, names)
        return
    with suppress(StorageError):  # what the workers met is the news
        _sweep(pipeline, names)
    if pump.error is not None:
        raise as_error(pump.error) from failure
    raise RunFailed(
        f"the workers failed {MAX_FAILURES + 1} times without getting on; at last: {_reason(failure)}"
    ) from failure


class Watch:
    """Hands events on, and keeps what matters when workers die.

    Attributes:
        kept: checkpoints and commits so far, after which new workers have less to do.
        group: the placement group of the latest workers.
    """

    def __init__(self, handler: Handler) -> None:
        self.kept = 0
        self.group: PlacementGroup | None = None
        self._handler = handler

    def __call__(self, event: Event) -> None:
        if event["kind"] == "group":
            self.group = event["group"]
            return
        self.kept += event["kind"] in ("checkpoint", "commit")
        self._handler(event)

    def free(self) -> None:
        """Give back what the latest workers held: a controller that ended on the way may not have done so."""
        if self.group is not None:
            remove_placement_group(self.group)
            self.group = None


def _sweep(pipeline: Pipeline, names: Sequence[str]) -> None:
    """Remove Ray Train's scratch of runs that have ended: the lineage holds all that matters."""
    store = open_store(pipeline.storage)
    for name in names:
        store.delete_folder(f"{pipeline.name}/runs/{name}")


def _reason(error: BaseException | None) -> str:
    if isinstance(error, ray.train.WorkerGroupError) and (told := deaths(error.worker_failures)):
        return told
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
