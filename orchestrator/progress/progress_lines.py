"""The lines that the reporters share: the headline, one line for each experience, and the report at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.events import Resumed
from orchestrator.progress.matrix_table import matrix_view, metrics_view
from orchestrator.progress.number_format import classes, count, duration, short
from orchestrator.progress.printable import printable
from orchestrator.progress.run_reporter import Summary, so_far
from orchestrator.result import RunResult
from strategies.metrics import score_in

_ROOM = 21


def headline(summary: Summary) -> Text:
    """The name of the pipeline, and below it a summary of the run."""
    stream = count(summary["experiences"], "experience")
    if "dataset" in summary:
        stream += f" of {summary['dataset']}"
    parts = [summary.get("setting", ""), stream, summary.get("model", ""), " + ".join(summary.get("strategies", []))]
    workers = summary.get("workers")
    parts.append(count(workers, "worker") if isinstance(workers, int) else f"{workers} workers" if workers else "")
    text = Text(summary["pipeline"], style="bold")
    return text.append("\n" + ", ".join(part for part in parts if part), style="dim")


def experience_line(
    commit: Mapping[str, Any],
    reused: bool = False,
    names: Sequence[str] | None = None,
    domains: Sequence[str] | None = None,
) -> Text:
    """A finished experience: its classes, the mean accuracy so far, the loss, and the time or "reused".

    Args:
        names: of the classes.
        domains: names of the experiences, which then stand in the place of their classes.
    """
    experience = commit["experience"]
    text = Text("  ").append(f"experience {experience['index']:<3}")
    held = "classes " + classes(experience["classes"], 12, names) if experience["classes"] else ""
    if domains is not None and experience["index"] < len(domains):
        held = " ".join(printable(domains[experience["index"]]).split())
        held = held if len(held) < _ROOM else f"{held[: _ROOM - 2]}\N{HORIZONTAL ELLIPSIS}"
    text.append(f" {held:<{_ROOM}}", style="dim")
    text.append(so_far(commit, width=5))
    losses = commit.get("losses") or []
    text.append(f"   loss {losses[-1][1]:<9.3g}" if losses else " " * 17, style="dim")
    spent = duration(sum((commit.get("timings") or {}).values()))
    return text.append("  reused" if reused else f"{spent:>8}", style="dim")


def earlier_lines(summary: Summary) -> list[Text]:
    """What is said of commits that are reused and have no line of their own: one line, or none."""
    earlier = summary.get("reused", 0) - len(summary.get("chain", []))
    return [Text(f"  {count(earlier, 'earlier experience')}   reused", style="dim")] if earlier > 0 else []


def resumed_line(event: Resumed) -> Text:
    """Where a run resumes within an experience, after an interruption or a worker failure."""
    return Text(f"  resuming experience {event.index} at step {event.step:,}", style="dim")


def report(result: RunResult, summary: Summary, console: Console, program: str, arguments: str) -> None:
    """The matrix, the metrics, what was trained, and suggested commands of the form `program ... arguments`."""
    console.print()
    console.print(matrix_view(result.score_matrix, score_in(result.metrics)))
    console.print()
    console.print(metrics_view(result.metrics))
    console.print()
    for line in _closing(result, summary, program, arguments):
        console.print(line, soft_wrap=True)


def _closing(result: RunResult, summary: Summary, program: str, arguments: str) -> list[Text]:
    if not result.trained:
        done = f"nothing to train: {count(result.reused, 'experience')} reused"
    else:
        done = f"trained {count(result.trained, 'experience')}" + (f", reused {result.reused}" if result.reused else "")
        done += f" in {duration(result.seconds)}"
    lines = [_labelled("done", done)]
    if result.lineage:
        model = _labelled("model", short(result.lineage[-1]), "bold")
        lines.append(model.append(f"  in {summary['storage']}" if "storage" in summary else "", style="dim"))
    if arguments:
        lines.append(_labelled("lineage", f"{program} log {arguments}"))
        if result.tracking.get("run_id"):
            lines.append(_labelled("MLflow", f"{program} ui {arguments}"))
        else:
            lines.append(
                _labelled("MLflow", f"not complete; when the server is available again: {program} publish {arguments}")
            )
    return lines


def _labelled(label: str, text: str, style: str = "") -> Text:
    return Text(f"{label:<9}", style="dim").append(text, style=style or "default")
