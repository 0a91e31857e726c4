"""`everlearn compare`: several pipelines over several seeds, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import RunFailed
from orchestrator.lineage.canonical_json import digest
from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.search_reporter import SearchReporter, SearchSummary
from orchestrator.tuning.search_result import Compared, CompareResult
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.named_scores import named_scores
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.tuning.search_claim import Fences
    from orchestrator.tuning.train_trial import Job
    from orchestrator.tuning.trial_streams import Streams
    from pipelines.config.schema import Pipeline


def compare(
    pipelines: Sequence[Pipeline],
    *,
    seeds: int = 3,
    address: str | None = None,
    max_concurrent: int | None = None,
    reporter: SearchReporter | None = None,
    verbose: bool = False,
) -> CompareResult:
    """Run pipelines over several seeds, in parallel, each on all of its data and real test sets.

    A pipeline's seeds are its own and the ones that follow. What a lineage has already is reused; no ref is moved.

    Args:
        pipelines: at least one; names differ.
        seeds: runs of each pipeline.
        address: of the Ray cluster; None: RAY_ADDRESS, else runs of one worker take processes of this machine, others
            a local Ray for the time of the comparison.
        max_concurrent: runs at the same time; None: as many as fit.
        reporter: shows the progress; None: silent.
        verbose: let the log of Ray and MLflow through.

    Raises:
        PipelineError, StrategyError: a pipeline or its data are wrong.
        RunFailed: no run of a pipeline reached the end of the stream.
        StorageError, ClusterError: the storage or the cluster is not available.
    """
    from orchestrator.cluster.log_levels import quiet

    started = time.monotonic()
    quiet(verbose)

    from orchestrator.cluster.connect import cluster_when_needed
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.tracking.search_tracker import SearchTracker
    from orchestrator.tuning.mlflow_summary import comparison_closing
    from orchestrator.tuning.process_pool import run_plan
    from orchestrator.tuning.search_claim import searching
    from orchestrator.tuning.trial_plan import Plan
    from orchestrator.tuning.trial_streams import Streams

    names = [pipeline.name for pipeline in pipelines]
    if not names or len(set(names)) < len(names):
        raise PipelineError(f"compare: the pipelines need names of their own, got {', '.join(names) or 'none'}")
    bases = [pipeline.model_copy(update={"tune": None}) for pipeline in pipelines]
    for uri in {base.storage for base in bases}:
        open_store(uri).check()
    reporter = reporter or SearchReporter()
    widest = max(bases, key=lambda base: base.scaling.maximum)
    with (
        searching(bases, reporter.warning) as fences,
        cluster_when_needed(address, widest.scaling, verbose=verbose) as start,
    ):
        proposals = [
            Proposal(place * seeds + number, {}, [base.seed + number], place)
            for place, base in enumerate(bases)
            for number in range(seeds)
        ]
        streams = Streams()
        jobs = [_job(bases[proposal.document], proposal, streams, fences) for proposal in proposals]
        records = {
            p.number: TrialRecord(number=p.number, name=f"{names[p.document]} seed {p.seeds[0]}", seeds=list(p.seeds))
            for p in proposals
        }
        detail = "1 pipeline" if len(bases) == 1 else f"{len(bases)} pipelines"
        if seeds > 1:
            detail += f", {seeds} seeds" + (" each" if len(bases) > 1 else "")
        scores = {score.name: score for score in (named_scores(base)[0] for base in bases)}.values()
        shown = tuple(f"average_{score.name}" for score in scores)
        modes = tuple("max" if score.better == "higher" else "min" for score in scores)
        summary = SearchSummary("compare", detail, len(proposals), shown, modes, ())
        reporter.start(summary, [])
        key = digest({"compare": [job.ids[-1] for job in jobs]})[:16]
        title = f"compare {', '.join(names)}"
        with SearchTracker(bases[0], key=key, title=title[:200], warn=reporter.warning) as tracker:
            parameters = [job.pipeline.flat() for job in jobs]

            def on_record(record: TrialRecord) -> None:
                if record.ended is not None and record.state in ("done", "stopped", "failed"):
                    tracker.trial(record, parameters[record.number])
                reporter.trial(record)

            left = [p for p, job in zip(proposals, jobs, strict=True) if not _found(records[p.number], job, on_record)]
            if left:
                plan = Plan(bases, streams, left, max_concurrent=max_concurrent, fences=fences)
                plan.waiting = reporter.waiting
                run_plan(plan, address, start, records, on_record)
            result = CompareResult(
                pipelines=[
                    Compared(
                        base.name,
                        [records[p.number] for p in proposals if p.document == place],
                        {str(name): value for name, value in (base.published or {}).items()},
                    )
                    for place, base in enumerate(bases)
                ],
                trained=sum(record.trained for record in records.values()),
                reused=sum(record.reused for record in records.values()),
                seconds=time.monotonic() - started,
                tracking={"uri": tracker.uri, "run_id": None},
            )
            for one in result.pipelines:
                if not one.done:
                    raise RunFailed(
                        f"{one.name}: no run came to the end of the stream\n{one.runs[0].error or ''}".strip()
                    )
            tracker.finish(lambda: comparison_closing(result))
    result.tracking["run_id"] = tracker.run_id
    reporter.finish(result)
    return result


def _job(base: Pipeline, proposal: Proposal, streams: Streams, fences: Fences) -> Job:
    from orchestrator.tuning.train_trial import Job

    (pipeline,) = proposal.pipelines(base)
    return Job.of(pipeline, streams.share(pipeline), fences)


def _found(record: TrialRecord, job: Job, on_record: Callable[[TrialRecord], None]) -> bool:
    """Whether all of a run is in the lineage already; its record then holds the results."""
    from orchestrator.tuning.trial_state import TrialState

    began = time.time_ns() // 1_000_000
    chain = job.lineage.leading(job.ids)
    if len(chain) < len(job.ids):
        return False
    standing = TrialState([job])
    for end in range(1, len(chain) + 1):
        record.take(standing.after([chain], end))
    record.state, record.reused, record.started, record.ended = "done", len(chain), began, record.times[-1]
    on_record(record)
    return True
