"""Shows the output of a job at the terminal that follows it, with live progress as of a local run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from orchestrator.events import Event, TrackingOpened, from_dict
from orchestrator.jobs.relay.sender import MARK
from orchestrator.lineage.sparse_row import from_plain
from orchestrator.progress.run_reporter import Reporter
from orchestrator.result import RunResult
from orchestrator.tuning.search_reporter import SearchReporter, SearchSummary
from orchestrator.tuning.trial_record import TrialRecord
from strategies.metrics import metric_names


class Receiver:
    """Receives the output of a job. Use it as a context manager, so that the terminal is restored.

    Attributes:
        result: result of the run, as `everlearn run --json` prints it; None until the run is finished.
        tracking: `uri`, `run_id` and `url` of the MLflow run; empty until they are known.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        reporter: Reporter | None = None,
        search_reporter: SearchReporter | None = None,
    ) -> None:
        """
        Args:
            write: shows a line of ordinary output.
            reporter, search_reporter: show the progress of a run and of a search. Without them, the lines that the job
                writes beside its messages are shown.
        """
        self.result: dict[str, Any] | None = None
        self.tracking: dict[str, Any] = {}
        self._write, self._reporter, self._search = write, reporter, search_reporter
        self._skip = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for reporter in (self._reporter, self._search):
            if reporter is not None:
                reporter.close()

    def __call__(self, text: str) -> None:
        """Receive whole lines."""
        for line in text.removesuffix("\n").split("\n"):
            if line.startswith(MARK):
                self._skip = self._take(line.removeprefix(MARK))
            elif self._skip:
                self._skip -= 1
            else:
                self._write(line)

    def _take(self, text: str) -> int:
        """Show a message; return how many of the following lines it replaces."""
        try:
            message = json.loads(text)
            kind, content, lines = message["kind"], message["content"], int(message["lines"])
            event = from_dict(content) if kind == "event" else None
            self._note(kind, content, event)
            return lines if self._show(kind, content, event) else 0
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # The version of Everlearn in the job has other messages than this one: show its lines instead.
            return 0

    def _note(self, kind: str, content: Any, event: Event | None) -> None:
        if kind == "finish":
            self.result = content
        elif isinstance(event, TrackingOpened):
            self.tracking = asdict(event)

    def _show(self, kind: str, content: Any, event: Event | None) -> bool:
        """Whether the message was shown."""
        run, search = self._reporter, self._search
        if run is not None and kind in ("start", "event", "finish"):
            if kind == "start":
                run.start(content)
            elif kind == "finish":
                run.finish(_result(content))
            elif event is not None:
                run.event(event)
            return kind != "event" or event is not None
        if search is None or kind not in ("search", "trial", "waiting", "stage", "warning", "outcome"):
            return False
        if kind == "search":
            search.start(_summary(content["summary"]), [_record(one) for one in content["records"]])
        elif kind == "trial":
            search.trial(_record(content))
        elif kind == "outcome":
            search.close()
            # The lines that follow show the result.
            return False
        else:
            {"waiting": search.waiting, "stage": search.stage, "warning": search.warning}[kind](content)
        return True


def _result(content: dict[str, Any]) -> RunResult:
    fields = ("pipeline", "lineage", "trained", "reused", "seconds", "tracking")
    # The version in the job may have other metrics than this one.
    metrics = {name: content[name] for name in content.get("history") or metric_names() if name in content}
    score = content.get("score", "accuracy")
    matrix = from_plain(content.get("score_matrix", content.get("accuracy_matrix", [])))
    return RunResult(**{name: content[name] for name in fields}, score_matrix=matrix, metrics=metrics, score=score)


def _summary(content: dict[str, Any]) -> SearchSummary:
    several = {name: tuple(content[name]) for name in ("metrics", "modes", "settings")}
    return SearchSummary(**{**content, **several})


def _record(content: dict[str, Any]) -> TrialRecord:
    reached, metrics = content.pop("reached"), content.pop("metrics")
    return TrialRecord(**content, history=[{}] * (reached - 1) + [metrics] * (reached > 0))


def without_messages(text: str) -> str:
    """A job's output as a person reads it."""
    # Not splitlines: it takes the mark itself for the end of a line.
    return re.sub(rf"^{MARK}.*\n?", "", text, flags=re.MULTILINE)
