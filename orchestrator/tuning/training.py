"""Training one stream for a trial: in the trial's own process, or with Ray Train when it asks for several workers."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.lineage import Lineage
from orchestrator.plan import PlannedCommit, make_plan
from orchestrator.storage.store import open_store

if TYPE_CHECKING:
    from orchestrator.tuning.resources import Needs
    from pipelines.schema import Pipeline
    from pipelines.stream import Stream

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """A pipeline on a stream, and the commits that come of it."""

    pipeline: Pipeline
    stream: Stream
    plan: Sequence[PlannedCommit]
    lineage: Lineage

    @classmethod
    def of(cls, pipeline: Pipeline, stream: Stream) -> Job:
        return cls(pipeline, stream, make_plan(pipeline, stream), Lineage(open_store(pipeline.storage), pipeline.name))

    @property
    def ids(self) -> list[str]:
        """The ids of its commits, oldest first."""
        return [planned.id for planned in self.plan]

    @property
    def tests(self) -> list[str]:
        """The fingerprints of the stream's test sets."""
        return [self.stream.test_fingerprint(index) for index in range(len(self.stream))]


def train(job: Job, until: int, needs: Needs, tell: Tell) -> None:
    """Train a job's experiences before `until` that have no commit yet. No ref is moved.

    Args:
        needs: whether it has a GPU, and how many workers.
        tell: hears the events; "commit" in another thread than the others.

    Raises:
        NonFiniteLoss, StrategyError, PipelineError, StorageError; RunFailed: workers died.
    """
    if needs.workers == 1:
        _train_here(job, until, needs, tell)
    else:
        _train_with_workers(job, until, needs, tell)


def _train_here(job: Job, until: int, needs: Needs, tell: Tell) -> None:
    import torch

    from orchestrator.session import Session
    from strategies.group import Group

    Session(
        pipeline=job.pipeline,
        stream=job.stream,
        plan=job.plan[:until],
        lineage=job.lineage,
        group=Group(0, 1),
        device=torch.device("cuda" if needs.gpu else "cpu"),
        tell=tell,
        ref=None,
    ).run()


def _train_with_workers(job: Job, until: int, needs: Needs, tell: Tell) -> None:
    import ray
    import yaml
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from orchestrator.errors import RunFailed
    from orchestrator.events import EventPump, as_error, event_buffer
    from orchestrator.storage.filesystem import ray_filesystem
    from orchestrator.trainer import MAX_FAILURES

    pipeline = job.pipeline
    filesystem, root = ray_filesystem(pipeline.storage)
    folder = f"{pipeline.name}/runs"
    name = f"trial-{job.plan[until - 1].id[:12]}-{uuid.uuid4().hex[:8]}"
    buffer = event_buffer()
    trainer = TorchTrainer(
        worker_loop,
        train_loop_config={
            "document": yaml.safe_dump(pipeline.to_document(), sort_keys=False),
            "plan": list(job.plan[:until]),
            "stream": ray.put(job.stream),
            "events": buffer,
            "search_path": [path for path in sys.path if path],
            "threads": needs.threads,
        },
        torch_config=TorchConfig(backend="nccl" if needs.gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=needs.workers, use_gpu=needs.gpu, resources_per_worker=dict(needs.each)
        ),
        run_config=RunConfig(
            name=name,
            storage_path=f"{root}/{folder}",
            storage_filesystem=filesystem,
            failure_config=FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES),
        ),
    )
    pump = EventPump(buffer, tell)
    failure: Exception | None = None
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        failure = error
    finally:
        pump.close()
        open_store(pipeline.storage).delete_folder(f"{folder}/{name}")
    if pump.error is not None:
        raise as_error(pump.error) from failure
    if failure is not None:
        raise RunFailed(f"the workers failed: {str(failure).strip().splitlines()[-1]}") from failure


def worker_loop(config: dict[str, Any]) -> None:
    """One rank of a trial with several workers; runs in a worker of Ray Train."""
    import ray
    import ray.train.torch
    import torch

    from orchestrator.events import describe
    from orchestrator.session import Session
    from orchestrator.worker import _peer_lost
    from pipelines.load import load_text
    from strategies.group import Group

    events = config["events"]
    if ray.get(events.failed.remote()):
        return
    sys.path.extend(path for path in config["search_path"] if path not in sys.path)
    torch.set_num_threads(config["threads"])
    try:
        pipeline = load_text(config["document"], "trial")
        Session(
            pipeline=pipeline,
            stream=ray.get(config["stream"]),
            plan=config["plan"],
            lineage=Lineage(open_store(pipeline.storage), pipeline.name),
            group=Group.current(),
            device=ray.train.torch.get_device(),
            tell=lambda event: events.put.remote(event),
            ref=None,
        ).run()
    except BaseException as error:
        if not _peer_lost(error):
            ray.get(events.put.remote(describe(error)))
        raise
