"""Training the settings that a search has chosen on all of the training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import RunFailed
from orchestrator.lineage.joint_reference import Reference
from orchestrator.tuning.trial_record import TrialRecord
from orchestrator.tuning.trial_score import chain_metrics
from orchestrator.tuning.trial_streams import Streams
from strategies.api.strategy_errors import NonFiniteLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from orchestrator.lineage.chain_metrics import Metrics
    from orchestrator.lineage.commit import Commit
    from orchestrator.tuning.search_claim import Fences
    from orchestrator.tuning.search_reporter import SearchReporter
    from orchestrator.tuning.train_trial import Job
    from orchestrator.tuning.trial_resources import Needs
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.tune_section import TuneSpec


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
        return chain_metrics(self.chain, self.job.tests, Reference(self.job.lineage))

    def model(self) -> tuple[nn.Module, Tensor]:
        """The model, and an example of its input."""
        from orchestrator.checkpointing.load_model import example_and_model

        return example_and_model(self.job.pipeline, self.job.stream, self.job.lineage, self.chain[-1])


def train_whole(
    pipeline: Pipeline,
    spec: TuneSpec,
    reporter: SearchReporter,
    start: Callable[[], None],
    fences: Fences | None = None,
    address: str | None = None,
) -> Whole:
    """Train what is missing of a pipeline's stream, with the resources of a trial and no test set held back.

    Args:
        start: connects to the Ray cluster.
        fences: of the search's claims.
        address: of a Ray cluster, as it was given.

    Raises:
        RunFailed: it failed.
    """
    from orchestrator.training.in_process import runs_in_this_process
    from orchestrator.tuning.train_trial import Job
    from orchestrator.tuning.trial_resources import needs

    streams = Streams()
    job = Job.of(pipeline, streams.share(pipeline), fences)
    before = len(job.lineage.leading(job.ids))
    failure = ""
    if before < len(job.ids):
        need = needs(pipeline.scaling, spec.resources)
        here = runs_in_this_process(pipeline.scaling, address) and not need.gpu and not set(need.each) - {"CPU"}
        if not here:
            start()
            here = _fits_here(need)
        failure = _train_here(job, need) if here else _train_there(job, streams, spec, reporter, fences or {})
    chain = job.lineage.leading(job.ids)
    if len(chain) < len(job.ids):
        raise RunFailed(f"the best settings failed on all of the training data: {failure or 'they were stopped'}")
    return Whole(job, chain, len(chain) - before)


def _fits_here(need: Needs) -> bool:
    """Whether this process can train as well as a trial, which takes seconds to start."""
    import ray

    alone = sum(node["Alive"] for node in ray.nodes()) == 1 and not ray.util.client.ray.is_connected()
    return alone and need.workers == 1 and not need.gpu


def _train_here(job: Job, need: Needs) -> str:
    from orchestrator.tuning.train_trial import train

    try:
        train(job, len(job.ids), need, lambda event: None)
    except NonFiniteLoss as error:
        return str(error)
    return ""


def _train_there(job: Job, streams: Streams, spec: TuneSpec, reporter: SearchReporter, fences: Fences) -> str:
    """Train as one more trial."""
    from orchestrator.tuning.proposal import Proposal
    from orchestrator.tuning.ray_tune import run_trials
    from orchestrator.tuning.trial_plan import Plan

    record = TrialRecord(number=0, name="best", seeds=[job.pipeline.seed])
    plan = Plan(
        pipelines=[job.pipeline],
        streams=streams,
        proposals=[Proposal(0, {}, [job.pipeline.seed])],
        resources=spec.resources,
        retries=spec.retries,
        fences=fences,
    )
    run_trials(plan, {0: record}, reporter.trial)
    return record.error or ""
