"""Live progress on a terminal: finished experiences scroll up, two lines at the bottom show the current one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.events import CommitWritten, Event, Resumed, TrackingOpened, Warned, WorkersRestarted
from orchestrator.progress.index_progress import IndexProgress
from orchestrator.progress.number_format import duration
from orchestrator.progress.progress_lines import earlier_lines, experience_line, headline, report, resumed_line
from orchestrator.progress.run_reporter import FINISHING, RESTARTING, STARTING, Reporter, RunState, Summary
from orchestrator.result import RunResult

_STAGES = {
    STARTING: "starting the training",
    RESTARTING: "restarting the workers",
    FINISHING: "finishing",
    "consolidating": "consolidating",
    "evaluating": "evaluating on every test set",
    "committing": "committing",
}


class TerminalReporter(Reporter):
    """Live display by rich. Other output appears above it.

    Args:
        console: where to draw.
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
        self._live: Live | None = None

    def indexed(self, done: int, of: int) -> None:
        self._index(done, of)

    def start(self, summary: Summary) -> None:
        self._state = state = RunState(summary)
        self._names, self._domains = summary.get("class_names"), summary.get("domains")
        self._console.print(headline(summary))
        self._console.print()
        for line in earlier_lines(summary) if "chain" in summary else []:
            self._console.print(line)
        for commit in summary.get("chain", []):
            self._console.print(experience_line(commit, reused=True, names=self._names, domains=self._domains))
            state.take(CommitWritten(commit))
        self._live = Live(_Present(state), console=self._console, refresh_per_second=8, transient=True)
        self._live.start()

    def event(self, event: Event) -> None:
        if self._state is None:
            return
        self._state.take(event)
        match event:
            case CommitWritten(commit=commit):
                self._console.print(experience_line(commit, names=self._names, domains=self._domains))
            case Warned(text=text) | WorkersRestarted(text=text):
                self._console.print(Text(f"  {event.kind}  ", style="yellow").append(text, style="default"))
            case Resumed():
                self._console.print(resumed_line(event))
            case TrackingOpened(url=str(url)):
                self._console.print(Text("  MLflow  ", style="dim").append(url, style="dim"), soft_wrap=True)

    def finish(self, result: RunResult) -> None:
        self.close()
        if self._tables and self._state is not None:
            report(result, self._state.summary, self._console, self._program, self._arguments)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class _Present:
    """The two live lines, drawn from the state at each refresh."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._spinner = Spinner("dots", style="cyan")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        state = self._state
        table = Table.grid(padding=(0, 2, 0, 0))
        if state.stage in (STARTING, RESTARTING, FINISHING):
            spent = duration(time.monotonic() - state.started)
            table.add_row(Text(" "), self._spinner, Text(_STAGES[state.stage]).append(f"   {spent}", style="dim"))
            yield Group(table, Text())
            return
        index = state.index or 0
        room = max(10, min(40, options.max_width - 45))
        bar = Table.grid(padding=(0, 2, 0, 0))
        bar.add_row(
            ProgressBar(total=max(state.steps, 1), completed=state.step, width=room),
            f"step {state.step:,}/{state.steps:,}",
        )
        table.add_row(Text("  ").append(f"experience {index:<3}", style="bold"), bar)
        table.add_row(Text(f"  {index + 1} of {state.experiences}", style="dim"), self._numbers())
        yield table

    def _numbers(self) -> Text:
        state = self._state
        parts = []
        if state.stage:
            parts.append(_STAGES.get(state.stage, state.stage))
        elif state.loss is not None:
            parts.append(f"loss {state.loss:.3g}")
            if state.rate:
                parts.append(f"{state.rate:,.0f} samples/s")
        if state.score:
            parts.append(state.score)
        return Text("   ".join(parts), style="dim")
