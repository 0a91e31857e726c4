"""Every metric along the stream as PNG bytes: a small chart for each, with its meaning and its last value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.progress.number_format import unit_text
from orchestrator.tracking.heat_map import FADED, INK
from orchestrator.tracking.painted_text import png_of, taken_from
from strategies.metrics import Metric, metrics_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _RULE = "#0072B2", "#d5dae0"
_COLUMNS = 3
# Inches: the size of a chart with its title and labels, and the height of the heading above all charts.
_WIDTH, _HEIGHT, _HEAD = 4.0, 2.1, 0.8


def metrics_figure(history: Sequence[Mapping[str, float | None]], *, title: str, subtitle: str = "") -> bytes:
    """The charts as PNG; metrics that are not known anywhere have none.

    Args:
        history: the metrics after each experience, by name.
        title, subtitle: shown above the charts.
    """
    figure = metrics_drawing(history, title=title, subtitle=subtitle)
    return png_of(figure, [taken_from(text) for axes in figure.axes for text in axes.texts])


def metrics_drawing(history: Sequence[Mapping[str, float | None]], *, title: str, subtitle: str = "") -> Figure:
    """The matplotlib figure that `metrics_figure` saves as PNG."""
    from matplotlib.figure import Figure

    names = dict.fromkeys(name for one in history for name in one)
    known = [metric for metric in metrics_in(names) if any(one.get(metric.name) is not None for one in history)]
    width, height = _COLUMNS * _WIDTH, max(1, math.ceil(len(known) / _COLUMNS)) * _HEIGHT + _HEAD
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    # One pair of axes, in inches from the top left corner, holds all charts: axes for each take most of a second.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    # Names come from the pipeline file: matplotlib must not read a dollar sign in one as the start of a formula.
    axes.text(0.18, 0.3, title, fontsize=13, fontweight="bold", color=INK, parse_math=False)
    axes.text(0.18, 0.55, subtitle, fontsize=10, color=FADED, parse_math=False)
    axes.text(width - 0.17, 0.55, "after training on each experience", fontsize=9, color=FADED, ha="right")
    rules: list[tuple[float, float, float]] = []
    for place, metric in enumerate(known):
        row, column = divmod(place, _COLUMNS)
        values = [one.get(metric.name) for one in history]
        rules += _chart(axes, metric, values, column * _WIDTH + 0.68, row * _HEIGHT + _HEAD)
    # All at once: each call is a collection of its own, and takes as long as a line with its points.
    if rules:
        axes.hlines(*zip(*rules, strict=True), color=_RULE, linewidth=0.8, zorder=1)
    return figure


def _chart(
    axes: Axes, metric: Metric, values: Sequence[float | None], left: float, top: float
) -> list[tuple[float, float, float]]:
    """Draw one chart but its rules, of which it returns the place, the beginning and the end."""
    steps = [k for k, value in enumerate(values) if value is not None]
    known = [value for value in values if value is not None]
    low, high, last = min(known), max(known), len(values) - 1
    right, ceiling, floor = left + _WIDTH - 0.85, top + 0.6, top + 1.65

    def x(step: int) -> float:
        return left + (right - left) * step / last if last else left

    def y(value: float) -> float:
        return floor - (floor - ceiling) * (value - low) / (high - low) if high > low else (floor + ceiling) / 2

    headline = f"{metric.title}  {unit_text(metric.unit, known[-1])}"
    axes.text(left, top + 0.25, headline, fontsize=10, fontweight="bold", color=INK)
    axes.text(left, top + 0.42, f"{metric.meaning}; {metric.better} is better", fontsize=7.5, color=FADED)
    small: dict[str, Any] = {"fontsize": 7.5, "color": INK}
    for value in sorted({low, high}):
        axes.text(left - 0.06, y(value), unit_text(metric.unit, value), ha="right", va="center", **small)
    for step in sorted({0, last}):
        axes.text(x(step), floor + 0.2, str(step), ha="center", **small)
    few = len(values) <= 25
    axes.plot(
        [x(step) for step in steps], [y(value) for value in known], color=_LINE, linewidth=1.8, marker="o",
        markersize=4, markevery=1 if few else [-1],
    )  # fmt: skip
    return [(y(value), left, right) for value in sorted({low, high})]
