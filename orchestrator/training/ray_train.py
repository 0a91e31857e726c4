"""One Ray Train run that takes all experiences that are left: its workers start once and stay warm."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
import yaml
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util import remove_placement_group
from ray.util.placement_group import PlacementGroup

from orchestrator.cluster.connect import worker_resources
from orchestrator.cluster.liveness import while_ray_lives
from orchestrator.cluster.worker_failures import WorkerFailureNotes, failures_in_words
from orchestrator.errors import ClusterError, RunFailed, StorageError
from orchestrator.events import CheckpointWritten, CommitWritten, Event, GroupStarted, WorkersRestarted
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.ray_filesystem import ray_filesystem
from orchestrator.training.event_channel import EventPump, EventSender, Handler, event_buffer
from orchestrator.training.failure_policy import Cause, Failure, decide, start_retries, worker_retries
from orchestrator.training.worker import train_loop
from orchestrator.training.worker_error import as_error
from pipelines.models.trained_weights import trained_weights

if TYPE_CHECKING:
    from orchestrator.lineage.fencing import Fence
    from orchestrator.lineage.plan import PlannedCommit
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


def train_on_cluster(
    pipeline: Pipeline,
    stream: Stream,
    plan: Sequence[PlannedCommit],
    handler: Handler,
    *,
    workers: int | None = None,
    resources: Mapping[str, float] | None = None,
    ref: str | None = "latest",
    reuse_adapters: bool = False,
    fence: Fence | None = None,
) -> None:
    """Train a pipeline's remaining experiences on the Ray cluster that this process is connected to.

    Workers that fail are replaced, and resume from the last checkpoint or commit. How often is decided by
    `orchestrator.training.failure_policy`.

    Args:
        handler: gets the events of the workers, in a thread of its own. An exception that it raises ends the training,
            and is raised here.
        workers: how many; None: as the pipeline says, elastic if it says so.
        resources: of each worker, by Ray's names; None: as the pipeline says.
        ref: the name to move to every new commit, None for no name.
        reuse_adapters: as in `RankTraining`.
        fence: of the claim under which they write.

    Raises:
        RunFailed, StorageError, PipelineError, StrategyError: the error of a worker, or more worker failures than are
            retried.
    """
    scaling = pipeline.scaling
    number: int | tuple[int, int] = workers or scaling.minimum
    if workers is None and scaling.minimum < scaling.maximum:
        number = (scaling.minimum, scaling.maximum)
    each = worker_resources(scaling) if resources is None else dict(resources)
    gpu = each.get("GPU", 0) > 0
    names: list[str] = []
    filesystem, root = ray_filesystem(pipeline.storage)
    weights = trained_weights(pipeline)
    buffer = event_buffer()

    def trainer() -> TorchTrainer:
        # A new name each time: the lineage says where to resume, and Ray Train skips the work of a finished name.
        names.append(f"{plan[-1].id[:12]}-{uuid.uuid4().hex[:8]}")
        return _Trainer(
            train_loop,
            train_loop_config={
                "document": yaml.safe_dump(pipeline.to_document(), sort_keys=False),
                "source": pipeline.name,
                "plan": list(plan),
                "storage": open_store(pipeline.storage).uri,
                "stream": ray.put(stream),
                "weights": None if weights is None else ray.put(weights),
                "events": EventSender(buffer),
                "search_path": [p for p in sys.path if p],
                "threads": max(1, int(each.get("CPU", 1))),
                "ref": ref,
                "reuse_adapters": reuse_adapters,
                "fence": fence,
            },
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=number, use_gpu=gpu, resources_per_worker=each),
            run_config=RunConfig(
                name=names[-1],
                storage_path=f"{root}/{pipeline.name}/runs",
                storage_filesystem=filesystem,
                callbacks=[WorkerFailureNotes(EventSender(buffer))],
                failure_config=FailureConfig(
                    max_failures=worker_retries(),
                    controller_failure_limit=start_retries(elastic=isinstance(number, tuple)),
                ),
            ),
        )

    watch = Watch(handler)
    # When the handler has failed, the workers end with their group; those that Ray Train starts in their place have
    # nothing to do.
    pump = EventPump(buffer, watch, on_handler_error=watch.free)
    failures = 0
    reason = ""
    raised: Exception | None = None
    try:
        while True:
            before = watch.kept
            cause, raised = _attempt(trainer)
            if cause != "cluster":
                if cause == "controller":
                    pump.put(WorkersRestarted("Ray Train's controller failed; it is started again"))
                pump.drain()
                cause = "observer" if pump.handler_error else "error" if pump.error else cause
            if cause is None:
                break
            if cause != "cluster":
                watch.free()
            decision = decide(Failure(cause, watch.kept > before, failures, _reason(raised)))
            failures, reason = decision.failures, decision.reason
            if not decision.retry:
                break
    finally:
        pump.close()
    met = pump.handler_error or (as_error(pump.error) if pump.error is not None else None)
    if met is None and raised is None:
        _sweep(pipeline, names)
        return
    if isinstance(raised, ClusterError):
        raise raised
    with suppress(StorageError):  # the error of the workers is reported instead
        _sweep(pipeline, names)
    if met is not None:
        raise met from raised
    raise RunFailed(reason) from raised


def _attempt(trainer: Callable[[], TorchTrainer]) -> tuple[Cause | None, Exception | None]:
    """One run of Ray Train: what ended it before the end of the stream, and the error; None, None at the end."""
    try:
        while_ray_lives(lambda: trainer().fit())
    except ray.train.TrainingFailedError as error:
        return "workers", error
    except ray.exceptions.RayError as error:
        return "controller", error
    except ClusterError as error:
        return "cluster", error
    return None, None


class _Trainer(TorchTrainer):  # type: ignore[misc]
    """Without the process that Ray Train starts to share out its own datasets: a stream is none of them."""

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if type(one).__name__ != "DatasetsCallback"]


class Watch:
    """Hands events on, and keeps what matters when workers fail.

    Attributes:
        kept: checkpoints and commits so far, after which new workers have less to do.
        group: the placement group of the latest workers.
    """

    def __init__(self, handler: Handler) -> None:
        self.kept = 0
        self.group: PlacementGroup | None = None
        self._handler = handler

    def __call__(self, event: Event) -> None:
        if isinstance(event, GroupStarted):
            self.group = event.group
            return
        self.kept += isinstance(event, (CheckpointWritten, CommitWritten))
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
    if isinstance(error, ray.train.WorkerGroupError) and (words := failures_in_words(error.worker_failures)):
        return words
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
