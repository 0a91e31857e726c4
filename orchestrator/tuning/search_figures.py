"""Figures of a search as PNG bytes: the objective against each setting, the Pareto front, the settings' importance."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.tuning.search_space import position
from strategies.metrics import metrics_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from orchestrator.tuning.trial_record import TrialRecord
    from pipelines.config.sections.tune_section import Domain

_INK, _FADED, _RULE, _DOT, _BEST = "#1f2933", "#6b7785", "#d5dae0", "#0072B2", "#D55E00"


def setting_figure(records: Sequence[TrialRecord], path: str, domain: Domain, metric: str, best: int | None) -> bytes:
    """The objective of each trial that is done against one setting; the best trial stands out."""
    figure, axes = _axes(f"{_words(metric)} against {path}")
    done = [record for record in records if record.state == "done" and record.metrics.get(metric) is not None]
    for record in done:
        chosen = record.number == best
        value = record.metrics[metric]
        assert value is not None
        value = _scaled(metric, value, record)
        axes.scatter(
            position(domain, record.settings[path]), value, s=90 if chosen else 45, zorder=3,
            color=_BEST if chosen else _DOT, marker="D" if chosen else "o", alpha=0.9, linewidths=0,
        )  # fmt: skip
        if chosen:
            axes.annotate(f"trial {record.number}", (position(domain, record.settings[path]), value), (0, 9),
                          textcoords="offset points", ha="center", fontsize=9, color=_BEST)  # fmt: skip
    if domain.kind in ("choice", "grid"):
        axes.set_xticks(range(len(domain.values)), [_short(value) for value in domain.values])
        axes.margins(x=0.15)
    elif domain.kind == "loguniform":
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda exponent, _: f"{10**exponent:g}"))
    axes.set_xlabel(path, color=_FADED)
    axes.set_ylabel(_axis(metric, done), color=_FADED)
    return _png(figure)


def front_figure(records: Sequence[TrialRecord], metrics: Sequence[str], front: Sequence[int]) -> bytes:
    """Two objectives of each trial that is done, and the Pareto front as a line."""
    first, second = metrics[:2]
    figure, axes = _axes(f"{_words(first)} and {_words(second)}")
    points = {
        record.number: (_scaled(first, one, record), _scaled(second, two, record))
        for record in records
        if record.state == "done"
        and (one := record.metrics.get(first)) is not None
        and (two := record.metrics.get(second)) is not None
    }
    others = [point for number, point in points.items() if number not in front]
    if others:
        x, y = zip(*others, strict=True)
        axes.scatter(x, y, s=40, color=_FADED, alpha=0.7, linewidths=0, zorder=2, label="dominated")
    line = sorted(points[number] for number in front if number in points)
    if line:
        x, y = zip(*line, strict=True)
        axes.plot(x, y, color=_BEST, marker="D", zorder=3, label="Pareto front")
    for number in front:
        if number in points:
            axes.annotate(str(number), points[number], (0, 8), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xlabel(_axis(first, records), color=_FADED)
    axes.set_ylabel(_axis(second, records), color=_FADED)
    axes.legend(frameon=False, fontsize=9)
    return _png(figure)


def importance_figure(importance: Mapping[str, float], metric: str) -> bytes:
    """The share of the objective's variation that each setting explains."""
    figure, axes = _axes(f"importance for {_words(metric)}")
    ranked = sorted(importance.items(), key=lambda item: item[1])
    axes.barh([path for path, _ in ranked], [100 * share for _, share in ranked], color=_DOT, height=0.6)
    for row, (_, share) in enumerate(ranked):
        axes.annotate(f"{100 * share:.0f}", (100 * share, row), (4, 0), textcoords="offset points", va="center")
    axes.set_xlabel("share of the variation in percent (random forest)", color=_FADED)
    axes.set_xlim(0, 110)
    axes.grid(visible=False)
    return _png(figure)


def _axes(title: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # Paths come from the pipeline file: a dollar sign in one must not start a formula.
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=_INK, parse_math=False)
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, labelcolor=_INK)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(_RULE)
    return figure, axes


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else text[:23] + "…"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the software's name the bytes depend on the picture alone.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _scaled(metric: str, value: float, record: TrialRecord) -> float:
    return 100 * value if _in_percent(metric, [record]) else value


def _axis(metric: str, records: Sequence[TrialRecord]) -> str:
    return f"{_words(metric)} in percent" if _in_percent(metric, records) else _words(metric)


def _in_percent(metric: str, records: Sequence[TrialRecord]) -> bool:
    names = next((record.metrics for record in records if metric in record.metrics), {metric: None})
    return any(one.name == metric and one.is_fraction for one in metrics_in(names))
