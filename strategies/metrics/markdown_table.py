"""All metrics and all scores as Markdown tables, for README and docs: `python -m strategies.metrics`."""

from __future__ import annotations

from strategies.metrics.metric_registry import all_metrics
from strategies.metrics.score import value_of
from strategies.metrics.score_registry import all_scores

_HEAD = ("metric", "unit", "better", "definition", "source")


def metrics_table() -> str:
    """The table, one row for each metric, without a line break at its end."""
    rows = [(f"`{one.name}`", one.unit, one.better, one.definition, one.source) for one in all_metrics()]
    return "\n".join(_line(cells) for cells in (_HEAD, ("---",) * len(_HEAD), *rows))


def scores_table() -> str:
    """The scores of pipeline files, one row for each, without a line break at its end."""
    head = ("score", "of", "unit", "better", "definition", "source")
    rows = [
        (
            ", ".join(f"`{name}`" for name in (one.name, *(f"{one.name}@{key}={value_of(key)}" for key in one.at))),
            ", ".join(f"`{name}`" for name in one.objectives),
            one.unit,
            one.better,
            one.definition,
            one.source,
        )
        for one in all_scores()
    ]
    return "\n".join(_line(cells) for cells in (head, ("---",) * len(head), *rows))


def _line(cells: tuple[str, ...]) -> str:
    # A bar would end the cell, a star would set the following text in italics.
    escaped = (cell.replace("|", "\\|").replace("*", "\\*") for cell in cells)
    return f"| {' | '.join(escaped)} |"
