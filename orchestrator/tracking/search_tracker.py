"""Writing a search into MLflow while it runs; the search never waits for MLflow."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from orchestrator.redact import redact
from orchestrator.tracking.mlflow_client import reason, resolve_uri
from orchestrator.tracking.run_tracker import BACK_OFF, GRACE, GRACE_AFTER_FAILURE
from orchestrator.tracking.search_view import Closing, SearchView

if TYPE_CHECKING:
    from orchestrator.tuning.trial_record import TrialRecord
    from pipelines.config.schema import Pipeline


class SearchTracker:
    """Writes a search into MLflow from a thread of its own. Its methods return at once and raise nothing.

    What could not be written is tried again after a pause; what is missing in the end is written when the same command
    runs again, from the records of the trials.

    Attributes:
        uri: where MLflow is, without secrets.
        run_id: of the search's run; None as long as it could not be reached.
    """

    def __init__(self, pipeline: Pipeline, *, key: str, title: str, warn: Callable[[str], None]) -> None:
        """
        Args:
            key: by which the run is found again.
            title: the run's name.
            warn: called once, with a message, when MLflow cannot be used.
        """
        self.uri = redact(resolve_uri(pipeline.tracking.uri))
        self.run_id: str | None = None
        self._pipeline, self._key, self._title, self._warn = pipeline, key, title, warn
        self._started = time.time_ns() // 1_000_000
        self._changed = threading.Condition()
        # Guarded by the condition:
        self._trials: dict[int, tuple[TrialRecord, Mapping[str, Any]]] = {}
        self._closing: Callable[[], Closing] | None = None
        self._ending = self._warned = False
        self._failed = False
        # The thread's own:
        self._view: SearchView | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name="everlearn-search-tracking", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._failed = kind is not None
            self._ending = True
            failing = self._failures > 0
            self._changed.notify()
        self._thread.join(GRACE_AFTER_FAILURE if failing or kind is not None else GRACE)
        if self._thread.is_alive():
            self._warn_once("has not answered in time")

    def trial(self, record: TrialRecord, parameters: Mapping[str, Any]) -> None:
        """Take a trial that has ended, and its pipeline as flat parameters."""
        with self._changed:
            self._trials[record.number] = record.model_copy(deep=True), parameters
            self._changed.notify()

    def finish(self, closing: Callable[[], Closing]) -> None:
        """Take what the run shows in the end; it is called in the thread that writes, as drawing takes a while."""
        with self._changed:
            self._closing = closing

    def _run(self) -> None:
        ending = False
        while not ending:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._ending or (self._trials and time.monotonic() >= self._retry_at), 1.0
                )
                ending = self._ending
                if not ending and time.monotonic() < self._retry_at:
                    continue
                trials = dict(self._trials)
            try:
                self._write(trials)
                if ending:
                    self._end()
                self._failures = 0
            except Exception as error:
                # A new view reads from MLflow what the failed write left there.
                self._view = None
                first, longest = BACK_OFF
                self._retry_at = time.monotonic() + min(longest, first * 2.0**self._failures)
                self._failures += 1
                self._warn_once(f"cannot be used: {reason(error)}")

    def _write(self, trials: Mapping[int, tuple[TrialRecord, Mapping[str, Any]]]) -> None:
        if self._view is None:
            view = SearchView(self._pipeline, key=self._key, title=self._title)
            view.open_search(self._started)
            self._view, self.run_id = view, view.run_id
        for number, (record, parameters) in trials.items():
            self._view.trial(record, parameters)
            with self._changed:
                if self._trials.get(number, (None,))[0] is record:
                    del self._trials[number]

    def _end(self) -> None:
        if self._view is None:
            return
        if self._closing is not None and not self._failed:
            self._view.close(self._closing())
        else:
            self._view.end("FAILED", time.time_ns() // 1_000_000)

    def _warn_once(self, what: str) -> None:
        with self._changed:
            warned, self._warned = self._warned, True
        if not warned:
            # An error in a reporter must not end the tracking, and tracking must not end the search.
            with contextlib.suppress(Exception):
                remedy = "the search continues without it, the same command completes it"
                self._warn(redact(" ".join(f"tracking: MLflow at {self.uri} {what}; {remedy}".split())))
