"""The accuracy matrix and the metrics as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.lineage.sparse_row import SparseRow
from orchestrator.lineage.sparse_row import cells as known_cells
from orchestrator.progress.number_format import percent, unit_text
from strategies.metrics import ACCURACY, Score, metrics_for, metrics_in, score_in

# This many experiences fit into 80 columns. Of a longer stream, the first and the last ones are shown.
MOST = 10
_HEAD, _TAIL = 4, 5
_FADED, _LOST = 0.10, 0.30

Matrix = Sequence[Sequence[float | None]]


def matrix_view(matrix: Matrix, score: Score = ACCURACY) -> RenderableType:
    """R[i][j] in percent: row i after training on experience i, column j its score on experience j's test set.

    The diagonal is bold. Experiences that are not trained yet are dim and in whole percent. A score of 10 points or
    more below its best value so far is yellow, of 30 or more red; a score that is no fraction stands in its own unit,
    and is coloured from 10 and 30 percent of its best value on. None is shown as a dot.
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
        cells = [Text("") if column is None else _cell(matrix, row, column, score) for column in columns]
        table.add_row(str(row), *cells, _mean(matrix, row, score))
    what = f"{score.title} in percent" if score.unit == "fraction" else score.title
    caption = f"{what}; row: trained up to this experience; column: tested on it"
    parts: list[RenderableType] = [Text(caption, style="dim"), table]
    if matrix and isinstance(matrix[-1], SparseRow):
        trained = len(matrix)
        newest = sum(1 for at, _ in known_cells(matrix[-1]) if at < trained)
        text = f"a dot: not evaluated; metrics are of the last model on {newest} of {trained} experiences"
        parts.append(Text(text, style="dim"))
    if None in rows or None in columns:
        parts.append(Text("only the first and the last experiences; --json has all", style="dim"))
    return Group(*parts)


def metrics_view(metrics: Mapping[str, float | None]) -> RenderableType:
    """The metrics of the stream, each with its meaning."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    # Metrics of the matrix always have a line, also where they were not given.
    shown = {one.name: one for one in (*metrics_for([score_in(metrics)]), *metrics_in(metrics))}
    for place, metric in enumerate(shown.values()):
        value = metrics.get(metric.name)
        # Metrics of the matrix always have a line, other metrics only if they are known.
        if value is not None or metric.scope == "matrix":
            style = "" if place else "bold"
            text = Text(unit_text(metric.unit, value), style=style)
            table.add_row(Text(metric.title, style=style), text, metric.meaning)
    return table


def _shown(length: int) -> list[int | None]:
    """Indices to show; None stands for those left out."""
    if length <= MOST:
        return list(range(length))
    return [*range(_HEAD), None, *range(length - _TAIL, length)]


def _at(matrix: Matrix, row: int, column: int) -> float | None:
    return matrix[row][column] if column < len(matrix[row]) else None


def _text(value: float, score: Score, digits: int = 1) -> str:
    return percent(value, digits) if score.unit == "fraction" else f"{value:.4g}"


def _cell(matrix: Matrix, row: int, column: int, score: Score) -> Text:
    value = _at(matrix, row, column)
    if value is None:
        return Text("\N{MIDDLE DOT}", style="dim")
    if column > row:
        return Text(_text(value, score, digits=0), style="dim")
    if column == row:
        return Text(_text(value, score), style="bold")
    earlier = [_at(matrix, above, column) for above in range(column, row)]
    best = max((score.sign * one for one in earlier if one is not None), default=score.sign * value)
    fall = best - score.sign * value
    if score.unit == "number":
        fall /= abs(best) or 1.0
    return Text(_text(value, score), style="red" if fall >= _LOST else "yellow" if fall >= _FADED else "")


def _mean(matrix: Matrix, row: int, score: Score) -> str:
    known = [value for value in matrix[row][: row + 1] if value is not None]
    whole = len(known) == row + 1 or (known and isinstance(matrix[row], SparseRow))
    return _text(sum(known) / len(known), score) if whole else ""
