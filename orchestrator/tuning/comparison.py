"""`everlearn compare`: several pipelines over several seeds, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import RunFailed
from orchestrator.lineage.canonical import digest
from orchestrator.tuning.record import TrialRecord
from orchestrator.tuning.reporter import SearchReporter, SearchSummary
from orchestrator.tuning.result import Compared, CompareResult
from pipelines.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from orchestrator.tuning.streams import Streams
    from orchestrator.tuning.trial import Proposal
    from pipelines.schema import Pipeline


def compare(
    pipelines: Sequence[Pipeline],
    *,
    seeds: int = 3,
    address: str | None = None,
    max_concurrent: int | None = None,
    reporter: SearchReporter | None = None,
    verbose: bool = False,
) -> CompareResult:
    """Run pipelines over several seeds, in parallel on the cluster, each on all of its data and real test sets.

    A pipeline's seeds are its own and the ones that follow. What a lineage has already is reused; no ref is moved.

    Args:
        pipelines: at least one; names differ.
        seeds: runs of each pipeline.
        address: of the Ray cluster; None: RAY_ADDRESS, else a local one for the time of the comparison.
        max_concurrent: runs at the same time; None: as many as fit.
        reporter: shows the progress; None: silent.
        verbose: let the log of Ray and MLflow through.

    Raises:
        PipelineError, StrategyError: a pipeline or its data are wrong.
        RunFailed: no run of a pipeline came to its end.
        StorageError, ClusterError: what is around cannot be used.
    """
    from orchestrator.quiet import quiet

    started = time.monotonic()
    quiet(verbose)

    from orchestrator.cluster import cluster
    from orchestrator.storage.store import open_store
    from orchestrator.tracking.search_tracker import SearchTracker
    from orchestrator.tuning.closing import comparison_closing
    from orchestrator.tuning.searching import searching
    from orchestrator.tuning.streams import Streams
    from orchestrator.tuning.trial import Proposal

    names = [pipeline.name for pipeline in pipelines]
    if not names or len(set(names)) < len(names):
        raise PipelineError(f"compare: the pipelines need names of their own, got {', '.join(names) or 'none'}")
    bases = [pipeline.model_copy(update={"tune": None}) for pipeline in pipelines]
    for uri in {base.storage for base in bases}:
        open_store(uri).check()
    reporter = reporter or SearchReporter()
    widest = max(bases, key=lambda base: base.scaling.maximum)
    with searching(bases, reporter.warning), cluster(address, widest.scaling, verbose=verbose):
        proposals = [
            Proposal(place * seeds + number, {}, [base.seed + number], place)
            for place, base in enumerate(bases)
            for number in range(seeds)
        ]
        streams = Streams()
        aims = [_aim(bases[proposal.document], proposal, streams) for proposal in proposals]
        records = {
            p.number: TrialRecord(number=p.number, name=f"{names[p.document]} seed {p.seeds[0]}", seeds=list(p.seeds))
            for p in proposals
        }
        detail = f"{len(bases)} pipelines, {seeds} seeds each" if seeds > 1 else f"{len(bases)} pipelines"
        summary = SearchSummary("compare", detail, len(proposals), ("average_accuracy",), ("max",), ())
        reporter.start(summary, [])
        key = digest({"compare": aims})[:16]
        title = f"compare {', '.join(names)}"
        with SearchTracker(bases[0], key=key, title=title[:200], warn=reporter.warning) as tracker:
            _run(bases, proposals, streams, records, reporter, tracker.trial, max_concurrent)
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


def _aim(base: Pipeline, proposal: Proposal, streams: Streams) -> str:
    """The id of the last commit that a run comes to."""
    from orchestrator.plan import make_plan

    (pipeline,) = proposal.pipelines(base)
    return make_plan(pipeline, streams.share(pipeline))[-1].id


def _run(
    bases: Sequence[Pipeline],
    proposals: Sequence[Proposal],
    streams: Streams,
    records: dict[int, TrialRecord],
    reporter: SearchReporter,
    track: Callable[[TrialRecord, Mapping[str, Any]], None],
    max_concurrent: int | None,
) -> None:
    from orchestrator.tuning.runner import Plan, run_trials

    parameters = {p.number: p.pipelines(bases[p.document])[0].flat() for p in proposals}

    def heard(record: TrialRecord) -> None:
        if record.ended is not None and record.state in ("done", "stopped", "failed"):
            track(record, parameters[record.number])
        reporter.trial(record)

    run_trials(Plan(bases, streams, proposals, max_concurrent=max_concurrent), records, heard)
