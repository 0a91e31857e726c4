"""`everlearn tune`: search a pipeline's settings, then train the best on all of the data."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import OrchestratorError, RunFailed
from orchestrator.lineage.canonical_json import canonical_json
from orchestrator.lineage.joint_reference import Reference
from orchestrator.lineage.lineage import Lineage
from orchestrator.tuning.early_stopping import early_stopping
from orchestrator.tuning.search_id import search_id
from orchestrator.tuning.search_reporter import SearchReporter, SearchSummary
from orchestrator.tuning.search_result import Best, TuneResult
from orchestrator.tuning.search_space import Settings, grid, random_settings
from orchestrator.tuning.time_budget import covered_seconds
from orchestrator.tuning.trial_record import Records, TrialRecord
from orchestrator.tuning.trial_score import best as best_of
from orchestrator.tuning.trial_score import pareto_front
from pipelines.config.named_scores import named_scores
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.storage.store import Store
    from orchestrator.tracking.search_tracker import SearchTracker
    from orchestrator.tuning.search_claim import Fences
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.tune_section import TuneSpec

REF = "best"


def tune(
    pipeline: Pipeline,
    *,
    trials: int | None = None,
    workers: int | None = None,
    address: str | None = None,
    reporter: SearchReporter | None = None,
    verbose: bool = False,
) -> TuneResult:
    """Search the settings in the pipeline's `tune` section; an earlier, equal search that was stopped is resumed.

    Trials learn the stream without a validation split of its training data, and are judged by that. In the end the best
    settings are trained on all of it, as `everlearn run` would, and the ref `best` is moved to the model.

    Args:
        trials: instead of `tune.trials`.
        workers: instead of `scaling.workers`, for each trial.
        address: of the Ray cluster; None: RAY_ADDRESS, else trials of one worker that nothing steers (no `optuna`, no
            `scheduler`, no `time_budget`) take processes of this machine, others a local Ray.
        reporter: shows the progress; None: silent.
        verbose: let the log of Ray and MLflow through.

    Raises:
        PipelineError, StrategyError: the pipeline or its data are wrong.
        RunFailed: no trial reached the end of the stream.
        StorageError, ClusterError: the storage or the cluster is not available.
    """
    from orchestrator.cluster.log_levels import quiet

    started = time.monotonic()
    quiet(verbose)

    from orchestrator.cluster.connect import cluster_when_needed
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.tracking.search_tracker import SearchTracker
    from orchestrator.training.driver import with_workers
    from orchestrator.tuning.mlflow_summary import search_closing
    from orchestrator.tuning.search_claim import searching

    spec = _spec(pipeline, trials)
    base = with_workers(pipeline.model_copy(update={"tune": None}), workers)
    store = open_store(pipeline.storage)
    store.check()
    reporter = reporter or SearchReporter()
    with (
        searching([base], reporter.warning) as fences,
        cluster_when_needed(address, base.scaling, verbose=verbose) as start,
    ):
        search = _Search(base, spec, store, reporter, start, fences, address)
        with SearchTracker(pipeline, key=search.id, title=f"{pipeline.name} (tune)", warn=reporter.warning) as tracker:
            search.run(tracker)
            best = search.train_best()
            result = TuneResult(
                pipeline=pipeline.name,
                metrics=spec.metrics,
                modes=spec.modes,
                best=best,
                trials=search.ended,
                front=search.front,
                trained=search.trained,
                reused=search.reused,
                seconds=time.monotonic() - started,
                tracking={"uri": tracker.uri, "run_id": None},
            )
            tracker.finish(lambda: search_closing(result, spec.space))
    result.tracking["run_id"] = tracker.run_id
    reporter.finish(result)
    return result


def _spec(pipeline: Pipeline, trials: int | None) -> TuneSpec:
    spec = pipeline.tune
    if spec is None:
        raise PipelineError(
            f"{pipeline.name}: the pipeline file has no `tune` section: nothing says what to search\n"
            'Add one, such as tune: {space: {"train.optimizer.lr": {loguniform: [0.0001, 0.1]}}}'
        )
    if trials is None:
        return spec
    if spec.search == "grid":
        raise PipelineError("--trials: search: grid tries every combination; use search: random for a part of them")
    return spec.model_copy(update={"trials": trials})


class _Search:
    """One search.

    Attributes:
        id: of this search: what decides its trials. More trials, or other resources, are the same search.
        records: all trials by number.
    """

    def __init__(
        self,
        base: Pipeline,
        spec: TuneSpec,
        store: Store,
        reporter: SearchReporter,
        start: Callable[[], None],
        fences: Fences,
        address: str | None,
    ) -> None:
        """
        Args:
            start, address: connects to the Ray cluster, once there is something to train on it; its address, as given.
            fences: of the search's claims.
        """
        from orchestrator.lineage.plan import make_plan
        from orchestrator.tuning.trial_streams import Streams, Validation
        from pipelines.config.load import with_settings

        self._base, self._spec, self._reporter, self._start = base, spec, reporter, start
        self._fences, self._address = fences, address
        self._seeds = [base.seed + number for number in range(spec.seeds)]
        self._streams = Streams(Validation(spec.validation, base.seed))
        streams = [self._streams.share(with_settings(base, {"seed": seed})) for seed in self._seeds]
        self._length = len(streams[0])
        # The last id stands for everything in the pipeline and its data that decides the results of a trial.
        self.id = search_id(make_plan(base, streams[0])[-1].id, spec, [one.name for one in named_scores(base)])
        self._kept = Records(Lineage(store, base.name, fences[base.storage, base.name]), self.id)
        self.records = {record.number: record for record in self._kept.read()}
        self._fresh: set[int] = set()
        self._twins: dict[int, int] = {}

    @property
    def ended(self) -> list[TrialRecord]:
        """The trials that were tried, by number."""
        return [record for _, record in sorted(self.records.items()) if record.started is not None]

    @property
    def done(self) -> dict[int, dict[str, float | None]]:
        """Metrics of the trials that came to the end of the stream."""
        return {number: record.metrics for number, record in self.records.items() if record.state == "done"}

    @property
    def front(self) -> list[int]:
        """With several objectives, the Pareto front."""
        several = len(self._spec.metrics) > 1
        return pareto_front(self.done, self._spec.metrics, self._spec.modes) if several else []

    @property
    def trained(self) -> int:
        """Experiences that trials of this invocation trained."""
        return sum(self.records[number].trained for number in self._fresh)

    @property
    def reused(self) -> int:
        """Experiences of all trials that were already trained before this invocation, or by another trial."""
        earlier = (record for number, record in self.records.items() if number not in self._fresh)
        return sum(self.records[number].reused for number in self._fresh) + sum(
            record.trained + record.reused for record in earlier
        )

    def run(self, tracker: SearchTracker) -> None:
        """Run the trials that are not over."""
        spec = self._spec
        listed = None if spec.search == "optuna" else self._listed()
        count = spec.trials if listed is None else len(listed)
        detail = f"{self._base.name}: {spec.search} search, {count} trials of {self._length} experiences"
        if spec.seeds > 1:
            detail += f" and {spec.seeds} seeds"
        summary = SearchSummary("tune", detail, count, spec.metrics, spec.modes, tuple(spec.space))
        self._reporter.start(summary, [record for record in self.ended if record.over])
        for text in self._base.warnings():
            self._reporter.warning(text)
        for record in self.ended:
            if record.over:
                tracker.trial(record, self._flat(record))
        self._run(listed, count, tracker)
        for twin, first in self._twins.items():
            self._copy(first, twin, tracker)

    def _run(self, listed: Sequence[Settings] | None, count: int, tracker: SearchTracker) -> None:
        spec = self._spec
        budget = spec.time_budget - covered_seconds(self.ended) if spec.time_budget is not None else None
        left = None if listed is None else [n for n in self._distinct(listed) if not self.records[n].over]
        count = len(left) if left is not None else count - sum(record.over for record in self.records.values())
        if count <= 0 or (budget is not None and budget <= 0):
            return

        from orchestrator.tuning.process_pool import run_plan
        from orchestrator.tuning.proposal import Proposal
        from orchestrator.tuning.trial_plan import Plan

        plan = Plan(
            pipelines=[self._base],
            streams=self._streams,
            proposals=[Proposal(number, self.records[number].settings, self._seeds) for number in left or ()],
            searcher=self._searcher() if left is None else None,
            scheduler=early_stopping(spec, self._length),
            count=count,
            objectives=spec.metrics,
            resources=spec.resources,
            retries=spec.retries,
            max_concurrent=spec.max_concurrent,
            time_budget=budget,
            fences=self._fences,
            waiting=self._reporter.waiting,
        )
        run_plan(plan, self._address, self._start, self.records, lambda record: self._on_record(record, tracker))

    def _listed(self) -> list[Settings]:
        if self._spec.search == "grid":
            return grid(self._spec.space)
        return list(itertools.islice(random_settings(self._spec.space, self._base.seed), self._spec.trials))

    def _distinct(self, listed: Sequence[Settings]) -> list[int]:
        """Numbers of the settings to run; equal ones are run once."""
        first: dict[bytes, int] = {}
        for number, settings in enumerate(listed):
            known = self.records.get(number)
            if known is None or known.settings != settings:
                self.records[number] = TrialRecord(number=number, settings=settings, seeds=self._seeds)
            same = first.setdefault(canonical_json(settings), number)
            if same != number and not self.records[number].over:
                self._twins[number] = same
        return list(first.values())

    def _searcher(self) -> Any:
        try:
            from orchestrator.tuning.optuna_search import KeptOptunaSearch
        except ImportError:
            raise PipelineError("tune.search: optuna is not installed: pip install 'everlearn[optuna]'") from None
        records = [record for _, record in sorted(self.records.items())]
        return KeptOptunaSearch(
            self._spec.space,
            self._spec.metrics,
            self._spec.modes,
            seed=self._base.seed,
            past=[record for record in records if record.over],
            again=[record for record in records if not record.over],
            seeds=self._seeds,
            propose=self._proposed,
        )

    def _proposed(self, number: int, settings: Settings) -> None:
        """A proposal depends on the trials before it: it is kept, so that the next invocation tries the same."""
        self.records[number] = TrialRecord(number=number, settings=settings, seeds=self._seeds)
        self._kept.write(self.records[number])

    def _on_record(self, record: TrialRecord, tracker: SearchTracker) -> None:
        self._fresh.add(record.number)
        if record.state in ("done", "stopped", "failed"):
            self._kept.write(record)
            tracker.trial(record, self._flat(record))
        self._reporter.trial(record)

    def _copy(self, first: int, twin: int, tracker: SearchTracker) -> None:
        """A trial with the settings of another has its results."""
        of = self.records[first]
        if of.started is not None:
            reached = sum(map(len, of.lineage))
            update = {"number": twin, "trained": 0, "reused": reached, "started": of.ended}
            self._fresh.add(twin)
            self.records[twin] = of.model_copy(update=update, deep=True)
            self._on_record(self.records[twin], tracker)

    def train_best(self) -> Best:
        """Train the best settings on all of the training data, and let the ref `best` stand for the model.

        Raises:
            RunFailed: no trial reached the end of the stream, or the best settings fail on the whole data.
        """
        from orchestrator.tracking.publish_lineage import publish
        from orchestrator.tuning.train_best import train_whole
        from pipelines.config.load import with_settings

        number = best_of(self.done, self._spec.metrics[0], self._spec.modes[0])
        if number is None:
            raise RunFailed(_why_none(self.ended, self._spec))
        chosen = self.records[number]
        pipeline = with_settings(self._base, chosen.settings)
        self._reporter.stage("training the best settings on all of the training data")
        whole = train_whole(pipeline, self._spec, self._reporter, self._start, self._fences, self._address)
        whole.job.lineage.point(REF, whole.ids[-1])
        try:
            publish(
                pipeline,
                whole.chain,
                stream_length=len(whole.chain),
                model=whole.model,
                reference=Reference(whole.job.lineage),
                warn=self._reporter.warning,
            )
        except OrchestratorError as error:
            self._reporter.warning(f"{error}; the best model is in the lineage")
        return Best(
            number=number,
            settings=dict(chosen.settings),
            metrics=whole.metrics,
            validation=dict(chosen.metrics),
            lineage=whole.ids,
            trained=whole.trained,
            reused=len(whole.ids) - whole.trained,
        )

    def _flat(self, record: TrialRecord) -> dict[str, Any]:
        from pipelines.config.load import with_settings

        try:
            return dict(with_settings(self._base, record.settings).flat())
        except PipelineError:
            # Settings that do not fit together, which is why the trial failed.
            return {path: str(value) for path, value in record.settings.items()}


def _why_none(records: Sequence[TrialRecord], spec: TuneSpec) -> str:
    failed = [record for record in records if record.error and record.state == "failed"]
    if failed:
        return (
            f"no trial came to the end of the stream: {len(failed)} of {len(records)} failed; the first because\n"
            f"{failed[0].error}"
        )
    reason = "the time budget ended first: raise tune.time_budget" if spec.time_budget else "none was run"
    return f"no trial came to the end of the stream: {reason}"
