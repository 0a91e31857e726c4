"""The accuracy matrix and the metrics as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.progress.number_format import metric_text, percent
from strategies.metrics import all_metrics

# This many experiences fit into 80 columns. Of a longer stream, the first and the last ones are shown.
MOST = 10
_HEAD, _TAIL = 4, 5
_FADED, _LOST = 0.10, 0.30

Matrix = Sequence[Sequence[float | None]]


def matrix_view(matrix: Matrix) -> RenderableType:
    """R[i][j] in percent: row i after training on experience i, column j its accuracy on experience j's test set.

    The diagonal is bold. Experiences that are not trained yet are dim and in whole percent. An accuracy of 10 points or
    more below its best value so far is yellow, of 30 or more red. None is shown as a dot.
    """
    rows = _shown(len(matrix))
    columns = _shown(max((len(row) for row in matrix), default=0))
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("after", justify="right", style="dim", min_width=5)
    for column in columns:
        table.add_column("…" if column is None else str(column), justify="right", min_width=1 if column is None else 5)
    table.add_column("mean", justify="right", min_width=6)
    for row in rows:
        if row is None:
            table.add_row("…", *("" for _ in columns), "")
            continue
        cells = [Text("") if column is None else _cell(matrix, row, column) for column in columns]
        table.add_row(str(row), *cells, _mean(matrix, row))
    caption = "accuracy in percent; row: trained up to this experience; column: tested on it"
    parts: list[RenderableType] = [Text(caption, style="dim"), table]
    if None in rows or None in columns:
        parts.append(Text("only the first and the last experiences; --json has all", style="dim"))
    return Group(*parts)


def metrics_view(metrics: Mapping[str, float | None]) -> RenderableType:
    """The metrics of the stream, each with its meaning."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for place, metric in enumerate(all_metrics()):
        value = metrics.get(metric.name)
        # Metrics of the matrix always have a line, other metrics only if they are known.
        if value is not None or metric.scope == "matrix":
            style = "" if place else "bold"
            text = Text(metric_text(metric.name, value), style=style)
            table.add_row(Text(metric.title, style=style), text, metric.meaning)
    return table


def _shown(length: int) -> list[int | None]:
    """Indices to show; None stands for those left out."""
    if length <= MOST:
        return list(range(length))
    return [*range(_HEAD), None, *range(length - _TAIL, length)]


def _at(matrix: Matrix, row: int, column: int) -> float | None:
    return matrix[row][column] if column < len(matrix[row]) else None


def _cell(matrix: Matrix, row: int, column: int) -> Text:
    value = _at(matrix, row, column)
    if value is None:
        return Text("\N{MIDDLE DOT}", style="dim")
    if column > row:
        return Text(percent(value, digits=0), style="dim")
    if column == row:
        return Text(percent(value), style="bold")
    earlier = [_at(matrix, above, column) for above in range(column, row)]
    fall = max((best for best in earlier if best is not None), default=value) - value
    return Text(percent(value), style="red" if fall >= _LOST else "yellow" if fall >= _FADED else "")


def _mean(matrix: Matrix, row: int) -> str:
    known = [value for value in matrix[row][: row + 1] if value is not None]
    return percent(sum(known) / len(known)) if len(known) == row + 1 else ""
