"""Trials in processes of this machine, without Ray: for comparisons, and for searches without searcher and scheduler.

The results of a trial are the same as on a Ray cluster, in the same order and under the same ids. A trial that needs a
commit which a running one is about to make waits for that trial, as there; otherwise they start by their numbers.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.cluster.connect import where
from orchestrator.lineage.commit import Commit
from orchestrator.training.in_process import runs_in_this_process
from orchestrator.tuning.train_trial import Job
from orchestrator.tuning.trial_failure import reason
from orchestrator.tuning.trial_process import Request
from orchestrator.tuning.trial_resources import needs, settled
from orchestrator.tuning.trial_state import TrialState
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.tuning.proposal import Proposal
    from orchestrator.tuning.trial_plan import Plan
    from orchestrator.tuning.trial_record import TrialRecord
    from pipelines.data.streams import Stream

    OnRecord = Callable[[TrialRecord], None]


def runs_here(plan: Plan, address: str | None) -> bool:
    """Whether the trials of a plan need no Ray: one worker each, no cluster's address, no searcher, no scheduler."""
    steered = plan.searcher is not None or plan.scheduler is not None or plan.time_budget is not None
    plain = not set(map(str.lower, plan.resources)) - {"cpu"}
    alone = all(runs_in_this_process(p.scaling, address) and not p.scaling.gpu for p in plan.pipelines)
    return plain and alone and not steered


def run_plan(
    plan: Plan, address: str | None, start: Callable[[], None], records: dict[int, TrialRecord], on_record: OnRecord
) -> None:
    """Run a plan in processes of this machine where that serves, else on the Ray cluster that `start` connects to."""
    here = runs_here(plan, address)
    plan.waiting(_awaited(plan, None if here else where(address)))
    if here:
        run_in_processes(plan, records, on_record)
        return
    start()
    from orchestrator.tuning.ray_tune import run_trials

    run_trials(plan, records, on_record)


def _awaited(plan: Plan, ray: str | None) -> str:
    """In words, until the first trial has ended; `ray`: where, None: in processes."""
    number = plan.count if plan.searcher else len(plan.proposals)
    trials = "the trial" if number == 1 else f"the first of {number} trials"
    return f"for Ray on {ray} to start, then for {trials}" if ray else f"for {trials}, in processes of this machine"


def run_in_processes(
    plan: Plan, records: dict[int, TrialRecord], on_record: OnRecord, *, processes: int | None = None
) -> None:
    """Run the proposals of a plan to their ends. Arguments as those of `orchestrator.tuning.ray_tune.run_trials`.

    Args:
        processes: how many at the same time; None: as many as there are free cores, at most `plan.max_concurrent`.
    """
    if processes is None:
        most = max(needs(pipeline.scaling, plan.resources).threads for pipeline in plan.pipelines)
        processes = min(plan.max_concurrent or _cores(), _cores() // most)
    pool = _Pool(plan, records, on_record)
    workers = [_Worker(pool) for _ in range(max(1, min(processes, len(plan.proposals))))]
    try:
        for worker in workers:
            worker.thread.start()
        for worker in workers:
            worker.thread.join()
    finally:
        # After Ctrl-C, too: no process is left behind.
        pool.stopped = True
        for worker in workers:
            worker.kill()
    if pool.error is not None:
        raise pool.error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Trial:
    """A trial as it runs: its commits, and what its record says of them."""

    def __init__(self, proposal: Proposal, plan: Plan, record: TrialRecord) -> None:
        self.record = record
        base = plan.pipelines[proposal.document]
        self.jobs = [Job.of(pipeline, plan.streams.of(pipeline)) for pipeline in proposal.pipelines(settled(base))]
        self.needs = needs(base.scaling, plan.resources)
        self._standing = TrialState(self.jobs)
        self._chains: list[list[Commit]] = [[] for _ in self.jobs]
        self._reported = 0

    def missing(self) -> set[str]:
        """Ids of the commits that are not stored."""
        return {commit for job in self.jobs for commit in job.ids[len(job.lineage.leading(job.ids)) :]}

    def catch_up(self, on_record: OnRecord) -> None:
        """Take in commits that a process stored and did not report before it was killed."""
        for chain, job in zip(self._chains, self.jobs, strict=True):
            new = job.lineage.leading(job.ids, chain)[len(chain) :]
            self.record.trained += len(new)
            chain.extend(new)
        self._report(on_record)

    def start(self, on_record: OnRecord) -> None:
        record = self.record
        record.state, record.error, record.started, record.ended = "running", None, _now(), None
        record.history, record.times, record.lineage = [], [], []
        self._chains = [job.lineage.leading(job.ids) for job in self.jobs]
        record.reused = sum(map(len, self._chains))
        on_record(record)
        self._report(on_record)

    def take(self, number: int, document: dict[str, Any], on_record: OnRecord) -> None:
        self._chains[number].append(Commit.model_validate(document, strict=False))
        self.record.trained += 1
        self._report(on_record)

    def end(self, failure: tuple[str, bool] | None, on_record: OnRecord) -> None:
        record = self.record
        if failure is not None:
            record.error, record.final = failure
        record.state, record.ended = "done" if failure is None else "failed", _now()
        on_record(record)

    def _report(self, on_record: OnRecord) -> None:
        while self._reported < min(map(len, self._chains)):
            self._reported += 1
            self.record.take(self._standing.after(self._chains, self._reported))
            on_record(self.record)


class _Pool:
    """Which trial is next. Its threads share it, under `turn`."""

    def __init__(self, plan: Plan, records: dict[int, TrialRecord], on_record: OnRecord) -> None:
        self.plan, self.on_record = plan, on_record
        self.turn = threading.Condition()
        self.stopped = False
        self.error: Exception | None = None
        self._waiting = [(proposal, records[proposal.number]) for proposal in plan.proposals]
        self._running: dict[int, set[str]] = {}

    def next(self) -> _Trial | None:
        """The next trial that waits for no other; None when there is none left."""
        with self.turn:
            while self._waiting and not self.stopped:
                busy = set().union(*self._running.values())
                for place, (proposal, record) in enumerate(self._waiting):
                    try:
                        trial = _Trial(proposal, self.plan, record)
                    except PipelineError as error:
                        # Settings that do not fit together.
                        del self._waiting[place]
                        self._refuse(record, error)
                        break
                    missing = trial.missing()
                    if not missing & busy:
                        del self._waiting[place]
                        self._running[record.number] = missing
                        trial.start(self.on_record)
                        return trial
                    # Later trials may share as many commits with it as it shares with the running trial.
                    busy |= missing
                else:
                    self.turn.wait()
            return None

    def _refuse(self, record: TrialRecord, error: PipelineError) -> None:
        record.error, record.final, record.state = reason(error), True, "failed"
        record.started = record.ended = _now()
        self.on_record(record)

    def over(self, trial: _Trial, failure: tuple[str, bool] | None) -> None:
        with self.turn:
            del self._running[trial.record.number]
            trial.end(failure, self.on_record)
            self.turn.notify_all()

    def fail(self, error: Exception) -> None:
        with self.turn:
            self.error, self.stopped = self.error or error, True
            self.turn.notify_all()


class _Worker:
    """A thread, and the process that trains for it."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: list[Stream] = []
        self._known = 0
        self.thread = threading.Thread(target=self._run, name="everlearn-trials", daemon=True)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _run(self) -> None:
        try:
            while (trial := self._pool.next()) is not None:
                self._pool.over(trial, self._train(trial))
        except Exception as error:
            self._pool.fail(error)

    def _train(self, trial: _Trial) -> tuple[str, bool] | None:
        """Have a trial trained; returns why it failed, and whether another attempt would fail in the same way."""
        if not trial.missing():
            return None
        for _ in range(self._pool.plan.retries + 1):
            try:
                kind, value = self._ask(trial)
            except (EOFError, OSError):
                self.kill()
                status = self._process.returncode if self._process is not None else 0
                self._process = None
                ended = f"signal {-status}" if status < 0 else f"exit status {status}"
                with self._pool.turn:
                    trial.catch_up(self._pool.on_record)
                kind, value = "failed", (f"its process ended: {ended}", False)
                continue
            break
        return None if kind == "done" else value

    def _ask(self, trial: _Trial) -> tuple[str, Any]:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        streams = [job.stream for job in trial.jobs]
        keys = [self._key(stream) for stream in streams]
        new = {key: stream for key, stream in zip(keys, streams, strict=True) if key >= self._known}
        documents = [yaml.safe_dump(job.pipeline.to_document(), sort_keys=False) for job in trial.jobs]
        request = Request(documents, keys, new, trial.needs, self._pool.plan.retries, self._pool.plan.fences)
        pickle.dump(request, process.stdin)
        process.stdin.flush()
        self._known = len(self._sent)
        while True:
            kind, value = pickle.load(process.stdout)
            if kind != "commit":
                return kind, value
            with self._pool.turn:
                number, commit = value
                trial.take(number, commit, self._pool.on_record)

    def _key(self, stream: Stream) -> int:
        """Its place among the streams that the process knows, or is about to know."""
        for key, known in enumerate(self._sent):
            if known is stream:
                return key
        self._sent.append(stream)
        return len(self._sent) - 1

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            path = [entry for entry in sys.path if entry]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
            command = [sys.executable, "-m", "orchestrator.tuning.trial_process"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
            self._sent, self._known = [], 0
            assert self._process.stdin is not None
            pickle.dump(path, self._process.stdin)
        return self._process


def _now() -> int:
    return time.time_ns() // 1_000_000
