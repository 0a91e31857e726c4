"""One Ray Train run that takes all experiences that are left: its workers start once and stay warm."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import ray
import yaml
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from orchestrator.cluster import worker_resources
from orchestrator.errors import RunFailed
from orchestrator.events import EventPump, Handler, as_error, event_buffer
from orchestrator.storage.filesystem import ray_filesystem
from orchestrator.storage.store import open_store
from orchestrator.worker import train_loop

if TYPE_CHECKING:
    from orchestrator.plan import PlannedCommit
    from pipelines.schema import Pipeline
    from pipelines.stream import Stream

MAX_FAILURES = 3


def train_on_cluster(pipeline: Pipeline, stream: Stream, plan: Sequence[PlannedCommit], handler: Handler) -> None:
    """Train a pipeline's remaining experiences on the Ray cluster that this process is connected to.

    Workers that die are replaced, and go on after the last commit, up to `MAX_FAILURES` times.

    Args:
        handler: hears the events of the workers, in a thread of its own.

    Raises:
        RunFailed, StorageError, PipelineError, StrategyError: what a worker met, or that too many workers died.
    """
    scaling = pipeline.scaling
    resources = worker_resources(scaling)
    # Named anew each time: the lineage says where to go on, and Ray Train takes a finished name for finished work.
    name = f"{plan[-1].id[:12]}-{uuid.uuid4().hex[:8]}"
    filesystem, root = ray_filesystem(pipeline.storage)
    buffer = event_buffer()
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={
            "document": yaml.safe_dump(pipeline.to_document(), sort_keys=False),
            "source": pipeline.name,
            "plan": list(plan),
            "storage": open_store(pipeline.storage).uri,
            "stream": ray.put(stream),
            "events": buffer,
            "search_path": [p for p in sys.path if p],
            "threads": max(1, int(resources["CPU"])),
        },
        torch_config=TorchConfig(backend="nccl" if scaling.gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=scaling.maximum if scaling.minimum == scaling.maximum else (scaling.minimum, scaling.maximum),
            use_gpu=scaling.gpu,
            resources_per_worker=resources,
        ),
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
        _fit(trainer)
    except ray.train.TrainingFailedError as error:
        failure = error
    finally:
        pump.close()
    if pump.error is not None:
        raise as_error(pump.error) from failure
    if failure is not None:
        raise RunFailed(f"the workers failed {MAX_FAILURES + 1} times: {_first_line(failure)}") from failure
    _sweep(pipeline, name)


def _fit(trainer: TorchTrainer) -> None:
    """Run the trainer in a thread: in the main one, Ray Train takes over Ctrl-C and ends the process in its own way."""
    outcome: Future[None] = Future()

    def fit() -> None:
        try:
            trainer.fit()
            outcome.set_result(None)
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=fit, name="everlearn-fit", daemon=True).start()
    outcome.result()


def _sweep(pipeline: Pipeline, name: str) -> None:
    """Remove Ray Train's scratch of a finished run: the lineage holds all that matters."""
    open_store(pipeline.storage).delete_folder(f"{pipeline.name}/runs/{name}")


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
