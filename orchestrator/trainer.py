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

from orchestrator.cluster import worker_resources
from orchestrator.errors import RunFailed, StorageError
from orchestrator.events import EventPump, Handler, as_error, event_buffer
from orchestrator.heartbeat import while_ray_lives
from orchestrator.storage.filesystem import ray_filesystem
from orchestrator.storage.store import open_store
from orchestrator.worker import train_loop

if TYPE_CHECKING:
    from orchestrator.plan import PlannedCommit
    from pipelines.schema import Pipeline
    from pipelines.stream import Stream

MAX_FAILURES = 3


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

    Workers that die are replaced, and go on after the last commit, up to `MAX_FAILURES` times.

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
    each = worker_resources(scaling) if resources is None else dict(resources)
    gpu = each.get("GPU", 0) > 0
    # Named anew each time: the lineage says where to go on, and Ray Train takes a finished name for finished work.
    name = f"{plan[-1].id[:12]}-{uuid.uuid4().hex[:8]}"
    filesystem, root = ray_filesystem(pipeline.storage)
    buffer = event_buffer()

    def trainer() -> TorchTrainer:
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
                name=name,
                storage_path=f"{root}/{pipeline.name}/runs",
                storage_filesystem=filesystem,
                failure_config=FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES),
            ),
        )

    pump = EventPump(buffer, handler)
    failure: Exception | None = None
    try:
        for _ in range(MAX_FAILURES + 1):
            try:
                while_ray_lives(lambda: trainer().fit())
                failure = None
            except ray.train.TrainingFailedError as error:
                failure = error
            except ray.exceptions.RayError as error:
                failure = error  # the controller has died, which Ray does not mend by itself
                continue
            break
    finally:
        pump.close()
    if failure is None and pump.error is None:
        _sweep(pipeline, name)
        return
    with suppress(StorageError):  # what the workers met is the news
        _sweep(pipeline, name)
    if pump.error is not None:
        raise as_error(pump.error) from failure
    raise RunFailed(f"the workers failed {MAX_FAILURES + 1} times: {_first_line(failure)}") from failure


def _sweep(pipeline: Pipeline, name: str) -> None:
    """Remove Ray Train's scratch of a run that has ended: the lineage holds all that matters."""
    open_store(pipeline.storage).delete_folder(f"{pipeline.name}/runs/{name}")


def _first_line(error: BaseException | None) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
