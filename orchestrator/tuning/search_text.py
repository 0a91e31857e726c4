"""How trials, settings and comparisons are written for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.progress.number_format import duration, metric_text, percent, unit_text
from strategies.metrics import Metric, metrics_in

if TYPE_CHECKING:
    from orchestrator.tuning.search_result import Compared
    from orchestrator.tuning.trial_record import TrialRecord


def value_text(value: Any) -> str:
    """A setting's value, short: 1234.5, adam, [400, 400]."""
    if isinstance(value, str):
        return value
    return f"{value:.5g}" if isinstance(value, float) else json.dumps(value)


def settings_text(settings: Mapping[str, Any]) -> str:
    """One setting a line, `path: value`."""
    return "\n".join(f"{path}: {value_text(value)}" for path, value in settings.items())


def label(record: TrialRecord) -> str:
    """What the trial is called: its number, or the pipeline and the seed where pipelines are compared."""
    return record.name or f"trial {record.number}"


def trial_line(record: TrialRecord, metric: str) -> str:
    """A trial that has ended, in one line."""
    parts = [f"{label(record):<9}", f"{record.state:<8}"]
    if record.settings:
        parts.append("  ".join(f"{short_path(path)}={value_text(value)}" for path, value in record.settings.items()))
    if record.state == "failed":
        return "  ".join([*parts, record.error or ""])
    parts.append(f"{metric.replace('_', ' ')} {metric_text(metric, record.metrics.get(metric), record.metrics)}")
    if record.state == "stopped":
        parts.append(f"after {len(record.history)} of {record.of}")
    parts.append(f"trained {record.trained}, reused {record.reused}")
    if record.seconds is not None:
        parts.append(duration(record.seconds))
    return "  ".join(parts)


def short_path(path: str) -> str:
    """The last two parts of a path: `ewc.lambda`."""
    return ".".join(path.split(".")[-2:])


def compare_lines(pipelines: Sequence[Compared], width: int | None = None) -> list[str]:
    """The table of a comparison: mean and standard deviation of each metric in percent, and the published figure.

    Args:
        width: most characters of a line; a wider table is divided by its columns into several, with an empty line
            between them. None: one table.
    """
    return _lines(pipelines, [one.name for one in _metrics(pipelines) if one.is_score], width)


def cost_lines(pipelines: Sequence[Compared], width: int | None = None) -> list[str]:
    """The table of what the compared pipelines cost: means over the seeds. `width` as in `compare_lines`."""
    return _lines(pipelines, [one.name for one in _metrics(pipelines) if not one.is_score], width)


def _metrics(pipelines: Sequence[Compared]) -> list[Metric]:
    """The metrics of all pipelines, which may have different scores, each once."""
    found = {metric.name: metric for one in pipelines for metric in metrics_in(one.metrics)}
    return list(found.values())


def _lines(pipelines: Sequence[Compared], names: Sequence[str], width: int | None) -> list[str]:
    names = [name for name in names if any(one.metrics.get(name) is not None for one in pipelines)]
    if not names:
        return []
    first = _padded(["pipeline", *(one.name for one in pipelines)])
    seeds = _padded(["seeds", *(str(len(one.done)) for one in pipelines)])
    tables = [[first, seeds]]
    for name in names:
        column = _padded([name.replace("_", " "), *(_cell(one, name) for one in pipelines)])
        used = sum(len(one[0]) + 2 for one in tables[-1]) + len(column[0])
        if width is not None and used > width and len(tables[-1]) > 1:
            tables.append([first])
        tables[-1].append(column)
    lines: list[str] = []
    for table in tables:
        lines += ([""] if lines else []) + ["  ".join(row).rstrip() for row in zip(*table, strict=True)]
    return lines


def _padded(column: Sequence[str]) -> list[str]:
    width = max(map(len, column))
    return [text.ljust(width) for text in column]


def _cell(one: Compared, name: str) -> str:
    value = one.metrics.get(name)
    metric = next((metric for metric in metrics_in(one.metrics) if metric.name == name), None)
    if metric is None or not metric.is_score:
        return metric_text(name, value)

    def shown(value: float | None) -> str:
        return percent(value, digits=2) if metric.is_fraction else unit_text("number", value)

    text, spread = shown(value), one.deviation.get(name)
    if spread is not None:
        text += f" ± {shown(spread)}"
    if name in one.published:
        text += f" (published {shown(one.published[name])})"
    return text
