"""Training one stream for a trial: in the trial's own process, or with Ray Train when it asks for several workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.events import Event
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import PlannedCommit, make_plan
from orchestrator.storage.open_by_uri import open_store

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.tuning.search_claim import Fences
    from orchestrator.tuning.trial_resources import Needs
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream

OnEvent = Callable[[Event], object]


@dataclass(frozen=True)
class Job:
    """A pipeline on a stream, and its commits."""

    pipeline: Pipeline
    stream: Stream
    plan: Sequence[PlannedCommit]
    lineage: Lineage

    @classmethod
    def of(cls, pipeline: Pipeline, stream: Stream, fences: Fences | None = None) -> Job:
        """
        Args:
            fences: of the claims under which it is trained; None: it is only read.
        """
        fence = (fences or {}).get((pipeline.storage, pipeline.name))
        lineage = Lineage(open_store(pipeline.storage), pipeline.name, fence)
        job = cls(pipeline, stream, make_plan(pipeline, stream), lineage)
        if fence is not None:
            job.chain()
        return job

    @classmethod
    def at(cls, pipeline: Pipeline, stream: Stream, lineage: Lineage) -> Job:
        """For the holder of a claim, under which the lineage writes."""
        return cls(pipeline, stream, make_plan(pipeline, stream), lineage)

    def chain(self) -> list[Commit]:
        """The commits that are there, oldest first; those that lack the pipeline's scores get them."""
        from orchestrator.checkpointing.score_commits import score_commits, unscored

        chain = self.lineage.leading(self.ids)
        if self.lineage.fence is None or not unscored(self.pipeline, chain):
            return chain
        return score_commits(self.pipeline, self.stream, self.lineage, chain)

    @property
    def ids(self) -> list[str]:
        """The ids of its commits, oldest first."""
        return [planned.id for planned in self.plan]

    @property
    def tests(self) -> list[str]:
        """The fingerprints of the stream's test sets."""
        return [self.stream.test_fingerprint(index) for index in range(len(self.stream))]


def train(job: Job, until: int, needs: Needs, on_event: OnEvent) -> None:
    """Train a job's experiences before `until` that have no commit yet. No ref is moved.

    Args:
        needs: whether it has a GPU, and how many workers.
        on_event: gets the events; `CommitWritten` in another thread than the others.

    Raises:
        NonFiniteLoss, StrategyError, PipelineError, StorageError; RunFailed: workers failed.
    """
    if needs.workers == 1:
        from orchestrator.training.in_process import train_alone

        # Not `train_in_process`: it hands events on one at a time, and Ray Tune may hold a report of a trial up.
        train_alone(job.pipeline, job.stream, job.plan[:until], job.lineage, on_event, gpu=needs.gpu, ref=None)
    else:
        from orchestrator.training.ray_train import train_on_cluster

        train_on_cluster(
            job.pipeline,
            job.stream,
            job.plan[:until],
            on_event,
            workers=needs.workers,
            resources=needs.each,
            ref=None,
            fence=job.lineage.fence,
        )
