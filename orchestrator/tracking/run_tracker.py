"""Writing a run into MLflow while it trains; training never waits for MLflow."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from orchestrator.errors import OrchestratorError
from orchestrator.events import Event, StepDone, TrackingOpened, Warned
from orchestrator.redact import redact
from orchestrator.tracking.logged_model import ExportFailed, MakeModel, warm_up
from orchestrator.tracking.metric_points import LOSS, Point, steps_before
from orchestrator.tracking.mlflow_client import is_server, reason, resolve_uri
from orchestrator.tracking.mlflow_ui import page
from orchestrator.tracking.publish_lineage import cannot_export
from orchestrator.tracking.run_view import FindReference, RunView
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.progress.run_reporter import Reporter
    from pipelines.config.schema import Pipeline

# Seconds between writes, so that many losses are sent in one request.
PERIOD = 2.0
# Seconds before another attempt after a failure: the first value, doubled each time up to the second.
BACK_OFF = (2.0, 60.0)
# Seconds that the end of a run may wait for the last writes: while MLflow works, and after a failure of MLflow.
GRACE, GRACE_AFTER_FAILURE = 60.0, 5.0
# Losses kept while MLflow is unavailable. Dropped losses are taken from the commits later.
_MOST_LOSSES = 20_000
# Figures may take this share of the time, and are first drawn after so many seconds: a shorter run draws them once.
_FIGURES, _FIRST_FIGURES = 0.05, 60.0


class Tracker:
    """Writes a run into MLflow from a thread of its own. Its methods return at once and raise nothing.

    An MLflow server that is unavailable or slow does not delay the training: writes that failed are tried again after a
    pause, one warning is shown, and `everlearn publish` writes what is still missing at the end.

        with Tracker(pipeline, key=..., stream_length=5, reporter=reporter) as tracker:
            tracker.commit(chain)           # what is there already, perhaps nothing: creates or resumes the run
            ...
            tracker.losses([event])         # progress within an experience
            tracker.commit(longer_chain)
            tracker.finish(chain, model)
        print(tracker.uri, tracker.run_id, tracker.complete)

    Leaving the block waits for what is left, at most `GRACE` seconds. Left by an exception or without `finish`, the run
    is shown as failed, or as killed after Ctrl-C.

    Attributes:
        uri: where MLflow is, without secrets.
        run_id: of the MLflow run; None as long as it could not be reached.
        complete: after the end, whether MLflow has all of the run.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        key: str,
        stream_length: int,
        reporter: Reporter | None = None,
        reference: FindReference | None = None,
        class_names: Sequence[str] | None = None,
        experience_names: Sequence[str | None] = (),
        alone: bool = False,
    ) -> None:
        """
        Args:
            alone: nothing trains in this process, so that an export may be rehearsed.
        """
        self.uri = redact(resolve_uri(pipeline.tracking.uri))
        self.run_id: str | None = None
        self.complete = False
        self._pipeline, self._key, self._length, self._reporter = pipeline, key, stream_length, reporter
        self._reference, self._alone = reference, alone
        self._class_names, self._experience_names = class_names, experience_names
        self._changed = threading.Condition()
        # Guarded by the condition:
        self._chain: list[Commit] | None = None
        self._events: deque[StepDone] = deque(maxlen=_MOST_LOSSES)
        self._model: MakeModel | None = None
        self._status: str | None = None
        self._closing = self._abandoned = self._warned = False
        # The thread's own:
        self._view: RunView | None = None
        self._written = 0
        self._failures = 0
        self._retry_at = 0.0
        self._figures_at = time.monotonic() + _FIRST_FIGURES
        self._warm = False
        self._thread = threading.Thread(target=self._run, name="everlearn-tracking", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            if kind is not None:
                interrupted = issubclass(kind, (KeyboardInterrupt, SystemExit))
                self._status = "KILLED" if interrupted else "FAILED"
        self.close()

    def losses(self, events: Iterable[StepDone]) -> None:
        """Take progress within an experience."""
        with self._changed:
            self._events.extend(events)

    def commit(self, chain: Sequence[Commit]) -> None:
        """Take the commits that are there, oldest first, from experience 0."""
        with self._changed:
            self._chain = list(chain)
            self._changed.notify()

    def finish(self, chain: Sequence[Commit], model: MakeModel | None = None) -> None:
        """Take the last chain, and the way to its model if that is to be in MLflow: the run has succeeded."""
        with self._changed:
            self._chain, self._model, self._status = list(chain), model, "FINISHED"

    def close(self, timeout: float | None = None, status: str | None = None) -> bool:
        """Write what is left and end; returns `complete`.

        What is not written after `timeout` seconds, `everlearn publish` writes.

        Args:
            status: what a run that did not finish is shown as.
        """
        with self._changed:
            if self._abandoned:
                return self.complete
            # After a failure, an open view means that MLflow is available again.
            failing = self._failures > 0 and self._view is None
            self._closing = True
            self._status = self._status or status or "FAILED"
            self._changed.notify()
        self._thread.join(timeout if timeout is not None else GRACE_AFTER_FAILURE if failing else GRACE)
        with self._changed:
            started = self._chain is not None
        if started and not self.complete:
            self._warn_once("has not answered in time" if self._thread.is_alive() else "lacks a part of the run")
        with self._changed:
            self._abandoned = True
        return self.complete

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(self._due, timeout=PERIOD)
                if self._abandoned:
                    return
                closing = self._closing
                # A last attempt is made in any case.
                if not closing and time.monotonic() < self._retry_at:
                    continue
                chain, status = self._chain, self._status
                events = [self._events.popleft() for _ in range(len(self._events))]
            if chain is None or (not closing and not events and len(chain) == self._written and self._view):
                continue
            try:
                left = self._write(chain, events)
                if closing:
                    self._end(chain, status or "FAILED")
                self._failures = 0
            except Exception as error:
                left = events
                self._failed(error)
            with self._changed:
                self._events.extendleft(reversed(left))
                # The end of a run does not wait for a store that has just failed.
                closing = closing or (self._closing and self._failures > 0)

    def _due(self) -> bool:
        """Whether there is something that should not wait for the next period."""
        news = self._chain is not None and (self._view is None or len(self._chain) != self._written)
        return self._closing or self._abandoned or (news and time.monotonic() >= self._retry_at)

    def _write(self, chain: Sequence[Commit], events: Sequence[StepDone]) -> list[StepDone]:
        """Write commits and losses; returns the events whose place in the stream is not known yet."""
        if self._view is None:
            view = RunView(
                self._pipeline,
                key=self._key,
                stream_length=self._length,
                reference=self._reference,
                class_names=self._class_names,
                experience_names=self._experience_names,
            )
            view.open(chain)
            self._announce(view)
            # A run that lacks nothing is left as it is: this time nothing was trained.
            if not view.complete:
                view.status("RUNNING", chain)
            self._view, self._written = view, 0
            if not view.complete and not self._warm and not self._closing:
                # The experiences have just begun to train: there is time now, which is missing at the end.
                self._warm = True
                warm_up(rehearse=self._alone)
        if not self._view.complete and len(chain) != self._written:
            self._view.write(chain)
            self._figures(chain)
        self._written = len(chain)
        # A commit may come after the next experience has begun: then the number of steps before it is not known.
        self._view.losses(_loss_points(chain, [event for event in events if event.index <= len(chain)]))
        return [event for event in events if event.index > len(chain)]

    def _announce(self, view: RunView) -> None:
        known, self.run_id = self.run_id, view.run_id
        if self.run_id != known:
            url = page(self.uri, view.experiment_id, view.run_id) if is_server(self.uri) else None
            self._report(TrackingOpened(self.uri, view.run_id, url))

    def _figures(self, chain: Sequence[Commit]) -> None:
        started = time.monotonic()
        if self._view is None or not chain or started < self._figures_at:
            return
        self._view.files(chain)
        ended = time.monotonic()
        self._figures_at = ended + (ended - started) / _FIGURES

    def _end(self, chain: Sequence[Commit], status: str) -> None:
        view = self._view
        if view is None:
            return
        if not view.complete:
            if chain:
                self._figures_at = 0.0
                self._figures(chain)
            if chain and status == "FINISHED":
                try:
                    view.model(chain, self._model, status=status)
                except ExportFailed as failure:
                    self._warn(cannot_export(failure))
                except (OrchestratorError, PipelineError) as failure:
                    self._warn(f"tracking: the model is not in MLflow: {failure}")
            view.status(status, chain)
        self.complete = True

    def _failed(self, error: Exception) -> None:
        first, longest = BACK_OFF
        # A new view reads from MLflow what the failed write left there.
        self._view, self._written = None, 0
        self._retry_at = time.monotonic() + min(longest, first * 2.0**self._failures)
        self._failures += 1
        self._warn_once(f"cannot be used: {reason(error)}")

    def _warn_once(self, what: str) -> None:
        with self._changed:
            warned, self._warned = self._warned, True
        if not warned:
            remedy = "the run continues without it, `everlearn publish FILE` completes it"
            self._warn(f"tracking: MLflow at {self.uri} {what}; {remedy}")

    def _warn(self, text: str) -> None:
        self._report(Warned(redact(" ".join(text.split()))))

    def _report(self, event: Event) -> None:
        if self._reporter is not None and not self._abandoned:
            # An error in a reporter must not end the tracking, and tracking must not end the run.
            with contextlib.suppress(Exception):
                self._reporter.event(event)


def _loss_points(chain: Sequence[Commit], events: Iterable[StepDone]) -> Iterable[Point]:
    for event in events:
        # Of an experience that is committed, the commit has the losses.
        if event.index == len(chain):
            step = steps_before(chain, event.index) + (event.step if event.loss_step is None else event.loss_step)
            yield Point(LOSS, event.loss, event.time, step)
