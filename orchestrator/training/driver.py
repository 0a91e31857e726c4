"""`everlearn run`: take a model through a stream, from where its lineage ends."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from orchestrator.events import Event, Waiting
from orchestrator.progress.run_reporter import Reporter, Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.joint_reference import Reference
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.plan import PlannedCommit
    from orchestrator.result import RunResult
    from orchestrator.tracking.run_tracker import Tracker
    from orchestrator.tracking.tracking_process import RemoteTracker, TrackingProcess
    from orchestrator.training.callback import Callback
    from orchestrator.training.observers import Observers
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream

_SHOWN = 10
"""Commits of the past that a step shows."""


def run(
    pipeline: Pipeline,
    *,
    workers: int | None = None,
    address: str | None = None,
    reporter: Reporter | None = None,
    verbose: bool = False,
    callbacks: Sequence[Callback] = (),
    stream: Stream | None = None,
    ref: str = "latest",
    tracking: TrackingProcess | None = None,
    reuse_adapters: bool = False,
    outlined: bool = False,
) -> RunResult:
    """Train the experiences of a pipeline that have no commit yet, on a Ray cluster, and say what was forgotten.

    Args:
        workers: instead of `scaling.workers`.
        address: of the Ray cluster; `local`: one of its own for the time of the run; None: RAY_ADDRESS, else one
            worker trains in this process, and more on a local Ray.
        reporter: shows the progress; None: silent.
        verbose: let the log of Ray and MLflow through.
        callbacks: observe the run, in this process (see `Callback`).
        stream: the experiences; None: those of the pipeline.
        ref: the name that is moved to the commits.
        tracking: a process that writes to MLflow, if one worker trains in this one; None: a thread does.
        reuse_adapters: take the adapters of stored commits that learned the same data instead of training them, where
            the strategy is one with independent parts.
        outlined: the past of a long chain is read from its outline (`orchestrator.lineage.past_outline`), and not each
            commit.

    Raises:
        PipelineError, StrategyError: the pipeline or its data are wrong.
        RunFailed: training stopped; the commits made so far stay. CallbackFailed: a callback stopped it.
        Claimed: another run is working on the same pipeline in the same storage.
        StorageError, ClusterError: the storage or the cluster is not available.
    """
    from orchestrator.cluster.log_levels import quiet

    started = time.monotonic()
    quiet(verbose)

    from orchestrator.cluster.connect import refuse_unfit
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.training.in_process import runs_in_this_process

    pipeline, reporter = with_workers(pipeline, workers), reporter or Reporter()
    if not runs_in_this_process(pipeline.scaling, address):
        refuse_unfit(address)

    from orchestrator.cluster.index_tasks import index_executor
    from orchestrator.updates.admitted_stream import stream_of

    open_store(pipeline.storage).check()
    with index_executor(pipeline, address, reporter.indexed, verbose=verbose) as executor:
        stream = stream_of(pipeline, executor) if stream is None else stream
        return _run(
            pipeline,
            stream,
            ref,
            address,
            reporter,
            verbose,
            callbacks,
            tracking,
            started,
            reuse_adapters,
            outlined,
        )


def _run(
    pipeline: Pipeline,
    stream: Stream,
    ref: str,
    address: str | None,
    reporter: Reporter,
    verbose: bool,
    callbacks: Sequence[Callback],
    tracking: TrackingProcess | None,
    started: float,
    reuse_adapters: bool,
    outlined: bool,
) -> RunResult:
    from orchestrator.checkpointing.ask_capabilities import ask_commits, unasked
    from orchestrator.checkpointing.checkpoint import remove_checkpoints
    from orchestrator.checkpointing.load_model import example_and_model
    from orchestrator.checkpointing.score_commits import score_commits, unscored
    from orchestrator.lineage.bad_commits import plan_without_bad
    from orchestrator.lineage.changed_past import changed_past
    from orchestrator.lineage.claim import claimed
    from orchestrator.lineage.joint_reference import Reference
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.past_outline import Past, read_past, write_outline
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.training.in_process import runs_in_this_process, train_in_process
    from orchestrator.training.observers import Observers
    from orchestrator.training.run_outcome import summarise
    from pipelines.data.experience_names import experience_names
    from pipelines.data.features.feature_warnings import feature_warnings

    store = open_store(pipeline.storage)
    lineage = Lineage(store, pipeline.name)
    stream, plan, left_out = plan_without_bad(pipeline, stream, lineage)
    ids = [planned.id for planned in plan]
    past = read_past(lineage, ids) if outlined else Past(lineage.leading(ids))
    chain = past.chain
    reused = len(chain)
    notes: list[str] = []
    if unscored(pipeline, chain) or unasked(stream, chain):
        past = Past(chain := lineage.leading(ids))
        with claimed(lineage, "run", target=plan[-1].id, on_warning=notes.append) as claim:
            chain = score_commits(pipeline, stream, lineage.fenced(claim.fence), chain)
            chain = ask_commits(pipeline, stream, lineage.fenced(claim.fence), chain)
    # Of an endless stream the newest: a line for each of thousands says nothing.
    reporter.start(_summary(pipeline, stream, chain, store.uri, _SHOWN if outlined else len(chain)))
    observers = Observers(reporter, callbacks, chain, _LatestMetrics(stream, Reference(lineage)))
    reference = Reference(lineage)
    with observers.following(pipeline):
        for text in (
            *notes,
            *pipeline.warnings(),
            *stream.warnings,
            *feature_warnings(pipeline, stream),
            *left_out,
        ):
            observers.warn(text)
        observers.check()
        with _tracker(
            tracking,
            pipeline,
            observers,
            reference,
            stream,
            key=plan[-1].id,
            stream_length=len(stream),
            class_names=stream.unit_names,
            experience_names=experience_names(stream),
        ) as tracker:
            observers.tracker = tracker
            tracker.commit(chain)
            if reused < len(plan) or not lineage.stands(ref, plan[-1].id):
                with claimed(lineage, "run", target=plan[-1].id, on_warning=observers.warn) as claim:
                    held = lineage.fenced(claim.fence)
                    # Another run may have made some of them before it let the claim go.
                    chain = lineage.leading(ids, chain, anew=True)
                    observers.catch_up(chain)
                    reused = len(chain)
                    if ref == "latest":
                        _warn_if_set_back(lineage, chain, observers.warn)
                    if reused < len(plan):
                        for text in () if left_out else changed_past(lineage, plan, stream):
                            observers.warn(text)
                        if runs_in_this_process(pipeline.scaling, address):
                            train_in_process(
                                pipeline,
                                stream,
                                plan,
                                held,
                                observers,
                                ref=ref,
                                reuse_adapters=reuse_adapters,
                                chain=chain,
                            )
                        else:
                            _train_on_ray(
                                pipeline,
                                stream,
                                plan,
                                _summary(pipeline, stream, chain, store.uri, len(chain)),
                                observers,
                                held,
                                address=address,
                                verbose=verbose,
                                ref=ref,
                                reuse_adapters=reuse_adapters,
                            )
                        chain = lineage.leading(ids, chain)
                        observers.catch_up(chain)
                        if outlined:
                            write_outline(held, chain, past)
                    held.point(ref, plan[-1].id)
            remove_checkpoints(lineage, plan[-1].id)
            tracker.finish(chain, lambda: example_and_model(pipeline, stream, lineage, chain[-1]))
        seconds = time.monotonic() - started
        result = summarise(pipeline, stream, chain, reference(chain), reused=reused, seconds=seconds, tracker=tracker)
        observers.finish(result)
    return result


def _tracker(
    process: TrackingProcess | None,
    pipeline: Pipeline,
    observers: Observers,
    reference: Reference,
    stream: Stream,
    **options: Any,
) -> Tracker | RemoteTracker:
    if process is None:
        from orchestrator.tracking.run_tracker import Tracker

        return Tracker(pipeline, reporter=observers, reference=reference, **options)
    from orchestrator.checkpointing.load_model import first_inputs
    from orchestrator.tracking.tracking_process import RemoteTracker

    return RemoteTracker(process, pipeline, reporter=observers, example=lambda: first_inputs(stream), **options)


def _warn_if_set_back(lineage: Lineage, chain: Sequence[Commit], warn: Callable[[str], object]) -> None:
    """Warn when `latest` is more than one commit behind: a run that was killed leaves it at most one behind."""
    latest = lineage.ref("latest")
    places = {commit.id: place for place, commit in enumerate(chain)}
    behind = len(chain) - 1 - places.get(latest.commit, len(chain)) if latest else 0
    if latest and behind > 1:
        warn(
            f"the ref latest was set back to commit {latest.commit[:12]}, and {behind} later commits of this "
            "pipeline are stored. They are reused, and latest is moved forward"
        )


def with_workers(pipeline: Pipeline, workers: int | None) -> Pipeline:
    """The pipeline with another number of workers; None leaves it.

    Raises:
        PipelineError: fewer samples in a batch than workers.
    """
    if workers is None:
        return pipeline
    from pipelines.config.load import with_settings

    return with_settings(pipeline, {"scaling.workers": workers})


class _LatestMetrics:
    """The metrics after the last commit of a chain that grows."""

    def __init__(self, stream: Stream, reference: Reference) -> None:
        from orchestrator.lineage.running_matrix import Course

        self._course = Course([stream.test_fingerprint(index) for index in range(len(stream))])
        self._reference = reference

    def __call__(self, chain: Sequence[Commit]) -> dict[str, float | None]:
        from orchestrator.lineage.chain_metrics import course_metrics

        course = self._course.follow(chain)
        return course_metrics(course, chain, self._reference(chain), first=len(chain) - 1)[0]


def _train_on_ray(
    pipeline: Pipeline,
    stream: Stream,
    plan: Sequence[PlannedCommit],
    summary: Summary,
    observers: Observers,
    lineage: Lineage,
    *,
    address: str | None,
    verbose: bool,
    ref: str,
    reuse_adapters: bool,
) -> None:
    from orchestrator.cluster.connect import cluster, what_is_waited_for
    from orchestrator.training.dry_run import dry_run, refuse_main

    refuse_main(pipeline, getattr(sys.modules.get("__main__"), "__file__", None))
    if pipeline.own_code() and not summary["reused"]:
        # Ray takes seconds to start, and an error in the user's code is shorter without it.
        dry_run(pipeline, stream)
    observers.event(Waiting(what_is_waited_for(address, pipeline.scaling)))
    with cluster(address, pipeline.scaling, verbose=verbose):
        from orchestrator.training.prometheus import Telemetry
        from orchestrator.training.ray_train import train_on_cluster

        telemetry = Telemetry(pipeline.name)
        telemetry.start(summary)

        def on_event(event: Event) -> None:
            telemetry.event(event)
            observers(event)

        train_on_cluster(pipeline, stream, plan, on_event, fence=lineage.fence, ref=ref, reuse_adapters=reuse_adapters)


def _summary(pipeline: Pipeline, stream: Stream, chain: Sequence[Commit], storage: str, most: int) -> Summary:
    """What a run has before it.

    Args:
        most: so many of its newest commits at most.
    """
    from pipelines.data.experience_names import domain_names

    scaling = pipeline.scaling
    return {
        "pipeline": pipeline.name,
        "experiences": len(stream),
        "reused": len(chain),
        "setting": stream.setting,
        "dataset": pipeline.stream.dataset.name,
        "model": pipeline.model.name,
        "strategies": [spec.name for spec in pipeline.strategy],
        "workers": scaling.maximum if scaling.minimum == scaling.maximum else f"{scaling.minimum} to {scaling.maximum}",
        "storage": storage,
        "tracking": pipeline.tracking.uri,
        "class_names": None if stream.class_names is None else list(stream.class_names),
        "domains": domain_names(stream),
        "chain": [commit.document() for commit in chain[max(0, len(chain) - most) :]],
    }
