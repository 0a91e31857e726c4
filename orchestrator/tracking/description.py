"""The description of a run in MLflow: its matrix, its metrics and how to load its model, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# A wider table runs out of the page.
_WIDEST = 12
_SIGNED = ("backward_transfer", "forward_transfer")


def headline(strategies: Sequence[str], metrics: Mapping[str, float | None]) -> str:
    """One line: what was done, and how it went."""
    parts = [
        f"{name.replace('_', ' ')} {_percent(value)} %"
        for name in ("average_accuracy", "forgetting")
        if (value := metrics.get(name)) is not None
    ]
    return f"{' + '.join(strategies)}: {', '.join(parts)}" if parts else " + ".join(strategies)


def description(
    rows: Sequence[Sequence[float | None]],
    metrics: Mapping[str, float | None],
    *,
    strategies: Sequence[str],
    stream_length: int,
    commit: str,
    uri: str,
    model: str | None,
) -> str:
    """The Markdown text.

    Args:
        rows: the accuracy matrix.
        metrics: the stream's metrics after the last row.
        strategies: their names, in order.
        stream_length: experiences in the stream.
        commit: id of the last commit.
        uri: where MLflow is, without secrets.
        model: the model's MLflow URI; None where no model was logged.
    """
    done = f"{len(rows)} of {stream_length} experiences" if len(rows) < stream_length else f"{len(rows)} experiences"
    parts = [f"**{headline(strategies, metrics)}** after {done}; commit `{commit[:12]}`."]
    if len(rows) <= _WIDEST:
        parts.append(_table(rows))
    parts.append(_metrics(metrics))
    if model is not None:
        parts.append(
            "Load the model:\n\n```python\nimport mlflow\n\n"
            f'mlflow.set_tracking_uri("{uri}")\nmodel = mlflow.pytorch.load_model("{model}")\n```'
        )
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[float | None]]) -> str:
    width = min(max((len(row) for row in rows), default=0), _WIDEST)
    head = ["after", *(f"on {column}" for column in range(width))]
    lines = [head, ["---:"] * (width + 1)]
    for index, row in enumerate(rows):
        cells = ["" if value is None else _percent(value) for value in row[:width]]
        if index < len(cells) and cells[index]:
            cells[index] = f"**{cells[index]}**"
        lines.append([str(index), *cells, *[""] * (width - len(cells))])
    return "Accuracy in percent, by row after training on an experience, by column tested on it:\n\n" + "\n".join(
        f"| {' | '.join(line)} |" for line in lines
    )


def _metrics(metrics: Mapping[str, float | None]) -> str:
    lines = ["| metric | percent |", "| --- | ---: |"]
    for name, value in metrics.items():
        if value is not None:
            sign = "+" if name in _SIGNED and value > 0 else ""
            lines.append(f"| {name.replace('_', ' ')} | {sign}{_percent(value)} |")
    return "\n".join(lines)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
