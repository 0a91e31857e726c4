"""A search shown to a person: a live table on a terminal, else a line for each trial that ends."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.progress.number_format import count, duration, metric_text
from orchestrator.tuning.search_reporter import SearchReporter, SearchSummary
from orchestrator.tuning.search_result import CompareResult, TuneResult
from orchestrator.tuning.search_text import compare_lines, cost_lines, label, short_path, trial_line, value_text
from orchestrator.tuning.trial_record import TrialRecord
from orchestrator.tuning.trial_score import best as best_of

_STYLES = {"waiting": "dim", "running": "cyan", "done": "default", "stopped": "dim", "failed": "red"}
# Lines of the terminal that the table leaves free: the title, its header, the summary.
_OTHER_LINES = 8


class PlainSearchReporter(SearchReporter):
    """One line for each trial that ends.

    Args:
        console: where to write.
        tables: whether to print the outcome at the end.
    """

    def __init__(self, console: Console, tables: bool = True) -> None:
        self._console, self._tables = console, tables
        self._summary: SearchSummary | None = None
        self._shown: dict[str, str] = {}

    def start(self, summary: SearchSummary, records: Sequence[TrialRecord]) -> None:
        self._summary = summary
        self._print(Text(summary.detail, style="bold"))
        if records:
            self._print(Text(f"{count(len(records), 'trial')} done before"))

    def trial(self, record: TrialRecord) -> None:
        key = label(record)
        if self._summary is not None and record.ended is not None and self._shown.get(key) != record.state:
            self._shown[key] = record.state
            self._print(Text(trial_line(record, self._summary.metrics[0])))

    def waiting(self, text: str) -> None:
        self._print(Text(f"waiting: {text}"))

    def stage(self, text: str) -> None:
        self._print(Text(text))

    def warning(self, text: str) -> None:
        self._print(Text(f"warning: {text}"))

    def finish(self, result: TuneResult | CompareResult) -> None:
        self.close()
        if self._tables:
            for line in outcome(result, self._console.width):
                self._print(line)

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


class LiveSearchReporter(PlainSearchReporter):
    """A table of all trials, redrawn while they run. Other output is printed above it."""

    def __init__(self, console: Console, tables: bool = True) -> None:
        super().__init__(console, tables)
        self._records: dict[str, TrialRecord] = {}
        self._stage = ""
        self._started = time.monotonic()
        self._live: Live | None = None

    def start(self, summary: SearchSummary, records: Sequence[TrialRecord]) -> None:
        super().start(summary, records)
        self._records = {label(record): record for record in records}
        self._live = Live(
            console=self._console, refresh_per_second=4, get_renderable=self._table, vertical_overflow="crop"
        )
        self._live.start()

    def trial(self, record: TrialRecord) -> None:
        self._records[label(record)] = record

    def waiting(self, text: str) -> None:
        """The table shows what runs."""

    def stage(self, text: str) -> None:
        self._stage = text

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> RenderableType:
        summary = self._summary
        assert summary is not None
        metric = summary.metrics[0]
        done = {name: r for name, r in self._records.items() if r.state == "done" and not (r.settings and r.name)}
        ranks = dict(enumerate(done))
        first = best_of({n: done[name].metrics for n, name in ranks.items()}, metric, summary.modes[0])
        winner = ranks[first] if first is not None and summary.settings else None
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("trial" if summary.settings else "run", no_wrap=True)
        for path in summary.settings:
            table.add_column(short_path(path), justify="right", overflow="ellipsis")
        table.add_column("experience", justify="right")
        for name in summary.metrics:
            table.add_column(name.replace("_", " "), justify="right")
        table.add_column("state")
        room = max(4, self._console.size.height - _OTHER_LINES)
        for name, record in list(self._records.items())[-room:]:
            settings = [value_text(record.settings[p]) if p in record.settings else "" for p in summary.settings]
            progress = f"{len(record.history)}/{record.of}" if record.of else ""
            metrics = [
                metric_text(one, record.metrics.get(one), record.metrics).removesuffix(" %") if record.history else ""
                for one in summary.metrics
            ]
            style = "bold green" if name == winner else _STYLES[record.state]
            name = name.removeprefix("trial ")
            table.add_row(name, *settings, progress, *metrics, record.state, style=style)
        ended = sum(record.ended is not None for record in self._records.values())
        spent = duration(time.monotonic() - self._started)
        table.caption = f"{self._stage or f'{ended} of {summary.trials} ended'}   {spent}"
        table.caption_justify = "left"
        return table


def outcome(result: TuneResult | CompareResult, width: int = 80) -> list[Text]:
    """The result of a search or a comparison, as lines of text; tables have at most `width` characters a line."""
    lines = [Text()]
    if isinstance(result, CompareResult):
        lines.append(Text("mean ± standard deviation over seeds, in percent", style="dim"))
        head = True
        for line in [*compare_lines(result.pipelines, width), "", *cost_lines(result.pipelines, width)]:
            lines.append(Text(line, style="dim" if head else ""))
            head = not line
        failed = [run for one in result.pipelines for run in one.runs if run.state != "done"]
        lines += [Text(f"{label(run)}: {run.error or run.state}", style="red") for run in failed]
    else:
        lines += _best(result)
    work = f"trained {count(result.trained, 'experience')}, reused {result.reused}, in {duration(result.seconds)}"
    return [*lines, Text(), Text("done     ", style="dim").append(work, style="default")]


def _best(result: TuneResult) -> list[Text]:
    best, metric = result.best, result.metrics[0]
    words = metric.replace("_", " ")
    lines = []
    if result.front:
        lines.append(Text("Pareto front", style="bold"))
        for trial in result.trials:
            if trial.number in result.front:
                found = {name: metric_text(name, trial.metrics.get(name), trial.metrics) for name in result.metrics}
                values = "   ".join(f"{name.replace('_', ' ')} {text}" for name, text in found.items())
                lines.append(Text(f"  trial {trial.number:<4} {values}"))
        lines.append(Text())
    failed = sum(trial.state == "failed" for trial in result.trials)
    if failed:
        lines.append(Text(f"{count(failed, 'trial')} failed", style="red"))
    lines.append(Text(f"best: trial {best.number}", style="bold"))
    lines.append(
        Text(f"  {words} on the validation split  {metric_text(metric, best.validation.get(metric), best.validation)}")
    )
    tested = metric_text(metric, best.metrics.get(metric), best.metrics)
    lines.append(Text(f"  {words} on the test sets         {tested}, trained on all data"))
    lines.append(Text(f"  model {best.lineage[-1][:12]}, ref best"))
    return lines
