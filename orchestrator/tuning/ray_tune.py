"""Running trials on the cluster with Ray Tune, and keeping their records up to date."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import ray
import yaml
from ray import tune

from orchestrator.cluster.liveness import while_ray_lives
from orchestrator.errors import ClusterError
from orchestrator.redact import redact
from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.shared_training import Claims
from orchestrator.tuning.trial import TrialContext, run_trial
from orchestrator.tuning.trial_plan import Plan
from orchestrator.tuning.trial_record import TrialRecord
from orchestrator.tuning.trial_resources import at_once, needs, settled

OnRecord = Callable[[TrialRecord], None]

# Read by Ray Tune in this process. Results are kept in the lineage and the records, Ctrl-C is the command line's.
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_THRESHOLD_S": "60",
}


def run_trials(plan: Plan, records: dict[int, TrialRecord], on_record: OnRecord) -> None:
    """Run trials to their ends, on the Ray cluster that this process is connected to.

    Args:
        records: by number, updated while trials run. The searcher's `propose` callback has to add its proposals.
        on_record: called with a record after each change.

    Raises:
        ClusterError: a trial does not fit on the cluster.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    needed = [needs(pipeline.scaling, plan.resources) for pipeline in plan.pipelines]
    plan.streams.place()
    concurrent = min((at_once(need) for need in needed), default=1)
    claims = ray.remote(num_cpus=0)(Claims).options(max_concurrency=1000).remote()
    context = TrialContext(
        documents=[yaml.safe_dump(settled(pipeline).to_document(), sort_keys=False) for pipeline in plan.pipelines],
        streams=plan.streams,
        claims=claims,
        objectives=plan.objectives,
        stepwise=plan.scheduler is not None,
        retries=plan.retries,
        needs=needed,
        search_path=[path for path in sys.path if path],
        fences=plan.fences,
    )
    follower = _Follower(records, on_record, claims)
    space = {} if plan.searcher else {"trial": tune.grid_search([p.to_config()["trial"] for p in plan.proposals])}
    with tempfile.TemporaryDirectory(prefix="everlearn-tune-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(run_trial, context=context),
                lambda config: needed[Proposal.of(config).document].bundles(),
            ),
            param_space=space,
            tune_config=tune.TuneConfig(
                search_alg=plan.searcher,
                scheduler=plan.scheduler,
                num_samples=plan.count if plan.searcher else 1,
                max_concurrent_trials=min(plan.max_concurrent or concurrent, concurrent),
                time_budget_s=plan.time_budget,
                # Another process costs seconds. One that has started workers is not used again.
                reuse_actors=all(pipeline.scaling.minimum == 1 for pipeline in plan.pipelines),
                trial_name_creator=lambda trial: f"trial-{Proposal.of(trial.config).number:04d}",
                trial_dirname_creator=lambda trial: f"trial-{Proposal.of(trial.config).number:04d}",
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                callbacks=[follower],
                failure_config=tune.FailureConfig(max_failures=plan.retries),
                verbose=0,
            ),
        )
        try:
            while_ray_lives(tuner.fit)
        except tune.TuneError as error:
            raise ClusterError(f"Ray Tune failed: {redact(str(error).strip().splitlines()[-1])}") from error
        finally:
            follower.close()


class _Follower(tune.Callback):  # type: ignore[misc]
    """Keeps the records up to date."""

    def __init__(self, records: dict[int, TrialRecord], on_record: OnRecord, claims: Any) -> None:
        self._records, self._on_record, self._claims = records, on_record, claims
        self._before: dict[int, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves the callbacks beside its own results. They are not read again.
        return {}

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        record.state, record.error, record.started, record.ended = "running", None, _now(), None
        record.history, record.times, record.lineage = [], [], []
        self._on_record(record)

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        record = self._record(trial)
        if "failed" in result:
            failed = json.loads(result["failed"])
            record.error, record.final = failed["error"], failed["final"]
            before = self._before.get(record.number, 0)
            record.trained, record.reused = failed["trained"] + before, failed["reused"] - before
            return
        reported = json.loads(result["record"])
        record.take(reported)
        before = self._before.get(record.number, 0)
        record.trained, record.reused = reported["trained"] + before, reported["reused"] - before
        self._on_record(record)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        done = bool(record.history) and len(record.history) == record.of
        self._end(record, "failed" if record.error else "done" if done else "stopped")

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        self._claims.release.remote(str(record.number))
        # The next process finds the commits of the process that failed.
        self._before[record.number] = record.trained
        record.state = "waiting"
        self._on_record(record)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        record.error = _reason(trial)
        self._end(record, "failed")

    def close(self) -> None:
        """What still runs when the time budget is used up has been stopped."""
        for record in self._records.values():
            if record.state == "running":
                record.error = "the time budget ended"
                self._end(record, "stopped")

    def _end(self, record: TrialRecord, state: Any) -> None:
        # A trial that was stopped in mid-experience still holds what it had not made.
        self._claims.release.remote(str(record.number))
        record.state, record.ended = state, _now()
        self._on_record(record)

    def _record(self, trial: Any) -> TrialRecord:
        return self._records[Proposal.of(trial.config).number]


def _reason(trial: Any) -> str:
    lines = [line.strip() for line in str(trial.get_error() or "").splitlines() if line.strip()]
    died = [line for line in lines if "died" in line or "Error" in line or "memory" in line]
    return redact(f"its process ended: {(died or lines or ['no reason given'])[-1]}"[:500])


def _now() -> int:
    return time.time_ns() // 1_000_000
