"""Progress as plain lines, for logs, pipes and terminals that cannot be drawn on."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from orchestrator.events import (
    CommitWritten,
    Event,
    ExperienceStarted,
    Resumed,
    StepDone,
    TrackingOpened,
    Waiting,
    Warned,
    WorkersRestarted,
)
from orchestrator.progress.index_progress import IndexProgress
from orchestrator.progress.progress_lines import earlier_lines, experience_line, headline, report, resumed_line
from orchestrator.progress.run_reporter import Reporter, RunState, Summary
from orchestrator.result import RunResult

# Often enough to see progress in a long experience, but not so often that the log fills up.
SECONDS_BETWEEN_STEPS = 10.0


class PlainReporter(Reporter):
    """Prints a line for each finished experience, warning and restart, and every ten seconds one for the current step.

    Args:
        console: where to write.
        program, arguments: the program and the pipeline file in the commands that are suggested at the end; none
            are suggested without arguments.
        tables: whether to print the matrix and the metrics at the end.
    """

    def __init__(self, console: Console, program: str = "everlearn", arguments: str = "", tables: bool = True) -> None:
        self._console = console
        self._index = IndexProgress(console)
        self._program = program
        self._arguments = arguments
        self._tables = tables
        self._state: RunState | None = None
        self._names: Sequence[str] | None = None
        self._domains: Sequence[str] | None = None
        self._last_step = time.monotonic()

    def indexed(self, done: int, of: int) -> None:
        self._index(done, of)

    def start(self, summary: Summary) -> None:
        self._state = state = RunState(summary)
        self._names, self._domains = summary.get("class_names"), summary.get("domains")
        for line in headline(summary).split():
            self._print(line)
        for line in earlier_lines(summary) if "chain" in summary else []:
            self._print(line)
        for commit in summary.get("chain", []):
            self._print(experience_line(commit, reused=True, names=self._names, domains=self._domains))
            state.take(CommitWritten(commit))

    def event(self, event: Event) -> None:
        if self._state is None:
            return
        self._state.take(event)
        match event:
            case ExperienceStarted():
                self._last_step = time.monotonic()
            case StepDone() if time.monotonic() - self._last_step >= SECONDS_BETWEEN_STEPS:
                self._last_step = time.monotonic()
                self._print(Text(self._step_line()))
            case CommitWritten(commit=commit):
                self._print(experience_line(commit, names=self._names, domains=self._domains))
            case Warned(text=text) | WorkersRestarted(text=text) | Waiting(text=text):
                self._print(Text(f"{event.kind}: {text}"))
            case Resumed():
                self._print(resumed_line(event))
            case TrackingOpened(url=str(url)):
                self._print(Text(f"MLflow: {url}"))

    def finish(self, result: RunResult) -> None:
        if self._tables and self._state is not None:
            report(result, self._state.summary, self._console, self._program, self._arguments)

    def _step_line(self) -> str:
        state = self._state
        assert state is not None
        rate = f"   {state.rate:,.0f} samples/s" if state.rate else ""
        return f"  experience {state.index}   step {state.step:,}/{state.steps:,}   loss {state.loss:.3g}{rate}"

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)
