"""The description of a run in MLflow: its matrix, its metrics and how to load its model, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.progress.number_format import metric_text
from strategies.metrics import Score, score_in

# A wider table does not fit the page.
_WIDEST = 12


def headline(strategies: Sequence[str], metrics: Mapping[str, float | None]) -> str:
    """One line: what was done, and how it went."""
    parts = [
        f"{name.replace('_', ' ')} {metric_text(name, value, metrics)}"
        for name in (f"average_{score_in(metrics).name}", "forgetting")
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
    pictures: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> str:
    """The Markdown text.

    Args:
        rows: the score matrix.
        metrics: the stream's metrics after the last row.
        strategies: their names, in order.
        stream_length: experiences in the stream.
        commit: id of the last commit.
        uri: where MLflow is, without secrets.
        model: the model's MLflow URI; None where no model was logged.
        pictures: addresses of pictures by what they show; they then stand for the matrix as text.
        links: pages of runs to compare with, by what people call them.
    """
    done = f"{len(rows)} of {stream_length} experiences" if len(rows) < stream_length else f"{len(rows)} experiences"
    parts = [f"**{headline(strategies, metrics)}** after {done}; commit `{commit[:12]}`."]
    if links:
        parts.append("Compare with " + ", ".join(f"[{name}]({page})" for name, page in links.items()) + ".")
    if pictures:
        parts += [f"![{text}]({place})" for text, place in pictures.items()]
    elif len(rows) <= _WIDEST:
        parts.append(_table(rows, score_in(metrics)))
    parts.append(_metrics(metrics))
    if model is not None:
        parts.append(
            "Load the model:\n\n```python\nimport mlflow\n\n"
            f'mlflow.set_tracking_uri("{uri}")\nmodel = mlflow.pytorch.load_model("{model}")\n```'
        )
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[float | None]], score: Score) -> str:
    # As code: the UI shows the cells of a Markdown table without space between them.
    width = min(max((len(row) for row in rows), default=0), _WIDEST)
    lines = ["after " + "".join(f"{f'on {column}':>8}" for column in range(width))]
    for index, row in enumerate(rows):
        cells = ["" if value is None else _cell(value, score) for value in row[:width]]
        lines.append(f"{index:>5} " + "".join(f"{cell:>8}" for cell in cells).rstrip())
    table = "\n".join(lines)
    what = f"{score.title}{' in percent' if score.unit == 'fraction' else ''}".capitalize()
    return f"{what}, row after training on an experience, column tested on it:\n\n```text\n{table}\n```"


def _metrics(metrics: Mapping[str, float | None]) -> str:
    known = {name: metric_text(name, value, metrics) for name, value in metrics.items() if value is not None}
    width = max([28, *map(len, known)])
    lines = [f"{name.replace('_', ' '):<{width}} {text:>8}" for name, text in known.items()]
    return "```text\n" + "\n".join(lines) + "\n```"


def _cell(value: float, score: Score) -> str:
    return f"{100 * value:.1f}" if score.unit == "fraction" else f"{value:.3g}"
