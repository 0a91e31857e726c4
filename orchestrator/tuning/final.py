"""Training the settings that a search has chosen on all of the training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import RunFailed
from orchestrator.tuning.objective import Metrics, chain_metrics
from orchestrator.tuning.record import TrialRecord
from orchestrator.tuning.streams import Streams

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.lineage.commit import Commit
    from orchestrator.tuning.reporter import SearchReporter
    from orchestrator.tuning.training import Job
    from pipelines.schema import Pipeline
    from pipelines.tune_spec import TuneSpec


@dataclass(frozen=True)
class Whole:
    """A pipeline taken through the whole stream, and tested on the real test sets.

    Attributes:
        job: the pipeline and its stream.
        chain: its commits, oldest first.
        trained: how many of them were trained now.
    """

    job: Job
    chain: list[Commit]
    trained: int

    @property
    def ids(self) -> list[str]:
        return [commit.id for commit in self.chain]

    @property
    def metrics(self) -> Metrics:
        return chain_metrics(self.chain, self.job.tests)

    def model(self) -> tuple[nn.Module, Tensor]:
        """The model, and an example of its input."""
        from orchestrator.model import example_and_model

        return example_and_model(self.job.pipeline, self.job.stream, self.job.lineage, self.chain[-1])


def train_whole(pipeline: Pipeline, spec: TuneSpec, reporter: SearchReporter) -> Whole:
    """Train what is missing of a pipeline's stream, as one more trial: with its resources, and no test set held back.

    Raises:
        RunFailed: it failed.
    """
    from orchestrator.tuning.runner import Plan, run_trials
    from orchestrator.tuning.training import Job
    from orchestrator.tuning.trial import Proposal

    streams = Streams()
    job = Job.of(pipeline, streams.share(pipeline))
    record = TrialRecord(number=0, name="best", seeds=[pipeline.seed])
    if len(job.lineage.leading(job.ids)) < len(job.ids):
        resources: dict[str, Any] = spec.resources
        plan = Plan(
            pipelines=[pipeline],
            streams=streams,
            proposals=[Proposal(0, {}, [pipeline.seed])],
            resources=resources,
            retries=spec.retries,
        )
        run_trials(plan, {0: record}, reporter.trial)
    chain = job.lineage.leading(job.ids)
    if len(chain) < len(job.ids):
        raise RunFailed(f"the best settings failed on all of the training data: {record.error or 'it was stopped'}")
    return Whole(job, chain, record.trained)
