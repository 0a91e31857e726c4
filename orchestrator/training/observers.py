"""Everything that observes a run in the driver: the reporter, the tracking, Prometheus, and the user's callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.errors import CallbackFailed
from orchestrator.events import (
    CheckpointWritten,
    CommitWritten,
    Event,
    ExperienceStarted,
    Resumed,
    StepDone,
    Warned,
    WorkersRestarted,
)
from orchestrator.progress.run_reporter import Reporter
from orchestrator.training.callback import Callback

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.result import RunResult
    from orchestrator.tracking.run_tracker import Tracker
    from orchestrator.tracking.tracking_process import RemoteTracker
    from pipelines.config.schema import Pipeline

MetricsOf = Callable[[Sequence["Commit"]], dict[str, float | None]]


class Observers(Reporter):
    """Hands the events of a run to the reporter, the tracking and the callbacks.

    Attributes:
        tracker: set once there is one.
        failure: what a callback raised, as the error that names it; None while none has failed.
    """

    def __init__(
        self, reporter: Reporter, callbacks: Sequence[Callback], chain: Sequence[Commit], metrics_of: MetricsOf
    ) -> None:
        """
        Args:
            chain: the commits that are there already, oldest first.
            metrics_of: the metrics after the last commit of a chain; asked for only if there are callbacks.
        """
        self.tracker: Tracker | RemoteTracker | None = None
        self.failure: CallbackFailed | None = None
        self._reporter, self._callbacks, self._metrics_of = reporter, list(callbacks), metrics_of
        self._chain = list(chain)
        self._shown: set[str] = set()
        self._blind = False
        self._turn = threading.RLock()

    @contextmanager
    def following(self, pipeline: Pipeline) -> Iterator[None]:
        """The time of the run: callbacks learn of its start, and of an error that ends it."""
        try:
            self._call("on_run_start", lambda callback: callback.on_run_start(pipeline, list(self._chain)))
            self.check()
            yield
        except BaseException as error:
            for callback in self._callbacks:
                with suppress(Exception):  # the run has failed already: that error is the one to report
                    callback.on_run_failed(error)
            raise

    def finish(self, result: RunResult) -> None:
        self._reporter.finish(result)
        self._call("on_run_end", lambda callback: callback.on_run_end(result))
        self.check()

    def check(self) -> None:
        """Raise `failure` if there is one."""
        if self.failure is not None:
            raise self.failure

    def __call__(self, event: Event) -> None:
        """As `event`; raises CallbackFailed when a callback has failed, now or before."""
        self.event(event)
        self.check()

    def event(self, event: Event) -> None:
        """Hand on an event.

        A callback that fails is noted in `failure`: the threads of the claim and of the tracking, which report
        warnings, must not end with it.
        """
        with self._turn:
            self._show(event)
            match event:
                case CommitWritten():
                    self._commit(event)
                case StepDone():
                    if self.tracker is not None:
                        self.tracker.losses([event])
                    self._call("on_step", lambda callback: callback.on_step(event))
                case ExperienceStarted():
                    self._call("on_experience_start", lambda callback: callback.on_experience_start(event))
                case CheckpointWritten():
                    self._call("on_checkpoint", lambda callback: callback.on_checkpoint(event))
                case Resumed():
                    self._call("on_resume", lambda callback: callback.on_resume(event))
                case WorkersRestarted():
                    self._call("on_restart", lambda callback: callback.on_restart(event))
                case Warned(text=text):
                    self._call("on_warning", lambda callback: callback.on_warning(text))

    def warn(self, text: str) -> None:
        """Hand on a warning."""
        self.event(Warned(text))

    def catch_up(self, chain: Sequence[Commit]) -> None:
        """Hand on the commits of a chain that were not handed on: another run made them, or their events were lost."""
        for commit in chain[len(self._chain) :]:
            self(CommitWritten(commit.document()))

    def _show(self, event: Event) -> None:
        if isinstance(event, CommitWritten):
            if event.commit["id"] in self._shown:
                return
            self._shown.add(event.commit["id"])
        if not self._blind:
            try:
                self._reporter.event(event)
            except Exception:
                # A terminal that is gone does not end the training.
                self._blind = True

    def _commit(self, event: CommitWritten) -> None:
        from orchestrator.lineage.commit import Commit

        commit = Commit.model_validate(event.commit, strict=False)
        if commit.experience.index != len(self._chain):
            # The event of one before it was lost: `catch_up` hands on both.
            return
        self._chain.append(commit)
        if self.tracker is not None:
            self.tracker.commit(self._chain)
        if self._callbacks:
            metrics = self._metrics_of(self._chain)
            self._call("on_experience_end", lambda callback: callback.on_experience_end(commit, metrics))

    def _call(self, method: str, call: Callable[[Callback], None]) -> None:
        with self._turn:
            for callback in self._callbacks:
                if self.failure is not None:
                    return
                try:
                    call(callback)
                except Exception as error:
                    self.failure = _failure(callback, method, error)


def _failure(callback: Callback, method: str, error: Exception) -> CallbackFailed:
    kind = type(callback)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    failure = CallbackFailed(
        f"callback {kind.__module__}.{kind.__qualname__} failed in {method}: {text}\n"
        "The run has stopped; its commits stay. Correct the callback or leave it out, and run again to continue"
    )
    failure.__cause__ = error
    return failure
