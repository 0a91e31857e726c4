"""Figures of the score matrix as PNG bytes: the heat map, and one curve for each experience over time.

Curves are drawn on matplotlib's Agg canvas without pyplot, so no display is needed, nothing global is changed, and a
background thread may draw. The same input gives the same bytes. Lightness alone orders the heat map's colours, and the
curves differ in marker and label as well as in hue: both can be read without telling colours apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.tracking.experience_colours import FEW, PALEST, experience_colours
from orchestrator.tracking.heat_map import DPI, EMPTY, FADED, INK, CellNumber, Labels, colour_scale, heat_map, png
from strategies.metrics import ACCURACY, Score, as_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Sequence[float | None]]

_RULE = "#d5dae0"
# The cells of a longer stream are too small for numbers.
_MOST_NUMBERS = 60
# Distance between the matrix and the column of means, in cells.
_GAP = 0.3
_MARKERS = "os^Dv<>P"


def matrix_figure(
    rows: Rows,
    *,
    title: str,
    subtitle: str = "",
    classes: Sequence[Sequence[int]] = (),
    experiences: int | None = None,
    score: Score = ACCURACY,
) -> bytes:
    """The heat map of R with its numbers, as PNG; a better number is darker.

    Args:
        rows: R[i][j], the score on experience j after training on experience i; None leaves the cell empty.
        title, subtitle: shown above the map.
        classes: the classes of each experience; named under the columns where there is room.
        experiences: T, the length of the stream; rows that are not there yet stay empty.
        score: what R holds: a fraction is shown in percent, another number as it is.
    """
    R = _square(rows, experiences)
    T = len(R)
    cell = float(np.interp(T, (2, 5, 10, 20, 60, 61, 200), (1.0, 0.86, 0.64, 0.45, 0.36, 0.18, 0.06)))
    means = _mean_of_seen(R)[:, None]
    cells, numbers = _cells(R, _shades(R, R, score), score)
    mean_cells, mean_numbers = _cells(means, _shades(means, R, score), score, left=T)
    every = 1 if T <= 25 else 5
    ticks = range(0, T, every)
    columns = {j: _column_label(j, classes if T <= 12 else ()) for j in ticks} | {T: "mean\nso far"}
    return heat_map(
        np.concatenate([cells, mean_cells], axis=1),
        cell=cell,
        title=title,
        subtitle=subtitle,
        labels=Labels({i: str(i) for i in ticks}, columns, "tested on experience", "after training on experience"),
        numbers=[*numbers, *mean_numbers],
        size=float(np.clip(cell * 72 / (3.6 if T > 10 else 4.2), 5.5, 12)),
        gaps={T: _GAP},
        rule=1.6 if T <= 25 else 0.7,
        outlined=[(i, i) for i in np.flatnonzero(~np.isnan(np.diagonal(R))).tolist()],
        outline=1.4 if T <= 25 else 0.8,
    )


def curves_figure(
    rows: Rows, *, title: str, subtitle: str = "", experiences: int | None = None, score: Score = ACCURACY
) -> bytes:
    """The score on each experience from when it was learned, and on all of them so far, as PNG. Arguments as above."""
    R = _scale(score) * _square(rows, experiences)
    T = len(R)
    figure = figure_of(max(7.5, min(4.5 + 0.55 * T, 13.0)), 5.0)
    axes = figure.subplots()
    headline_of(axes, title, subtitle)
    colours = experience_colours(T)
    for j in range(T):
        after = np.arange(j, T)
        known = ~np.isnan(R[j:, j])
        if not known.any():
            continue
        few = len(FEW) >= T
        axes.plot(
            after[known],
            R[j:, j][known],
            color=colours[j],
            linewidth=1.8 if few else 1.1,
            marker=_MARKERS[j] if few else "o",
            markersize=5.5 if few else 3.5,
            markevery=1 if few else [0],
            alpha=0.95 if few else 0.75,
            zorder=2,
        )
    seen = _mean_of_seen(R)
    known = ~np.isnan(seen)
    axes.plot(
        np.arange(T)[known], seen[known], color=INK, linewidth=3.0, solid_capstyle="round", zorder=3,
        label="mean so far",
    )  # fmt: skip
    _curve_axes(axes, R, T, score)
    if len(FEW) >= T:
        _label_ends(axes, R, colours)
    else:
        _colour_scale(figure, axes, T, score)
        # The lower left corner has the fewest curves.
        axes.legend(loc="lower left", fontsize=9, labelcolor=INK, edgecolor="none", framealpha=0.9)
    return png_of(figure)


def _square(rows: Rows, experiences: int | None) -> NDArray[np.float64]:
    """R as (T, T), NaN where nothing was tested."""
    T = max([experiences or 1, len(rows), *(len(row) for row in rows)])
    R = np.full((T, T), np.nan)
    for i, row in enumerate(rows):
        R[i, : len(row)] = as_matrix([row])[0]
    return R


def _mean_of_seen(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of R[i, 0..i]; NaN in a row that is not complete."""
    return np.array([np.mean(R[i, : i + 1]) for i in range(len(R))])


def figure_of(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def headline_of(axes: Axes, title: str, subtitle: str) -> None:
    # Names come from the pipeline file: matplotlib must not read a dollar sign in one as the start of a formula.
    for text, offset, size, weight, colour in (
        (title, 28 if subtitle else 12, 13, "bold", INK),
        (subtitle, 11, 10, "normal", FADED),
    ):
        axes.annotate(
            text, (0, 1), (0, offset), xycoords="axes fraction", textcoords="offset points", fontsize=size,
            fontweight=weight, color=colour, parse_math=False, annotation_clip=False,
        )  # fmt: skip


def _scale(score: Score) -> int:
    return 100 if score.unit == "fraction" else 1


def _shades(values: NDArray[np.float64], R: NDArray[np.float64], score: Score) -> NDArray[np.float64]:
    """How good values are, from 0 to 1; numbers in a unit of their own among those of R."""
    if score.unit == "fraction":
        return np.nan_to_num(values if score.better == "higher" else 1 - values)
    known = R[~np.isnan(R)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    shares = np.nan_to_num((values - low) / ((high - low) or 1.0))
    return np.asarray(shares if score.better == "higher" else 1 - shares)


def _cells(
    values: NDArray[np.float64], good: NDArray[np.float64], score: Score, left: int = 0
) -> tuple[NDArray[np.uint8], list[CellNumber]]:
    """The colours of cells from column `left`, paler where they were tested before they were learned (j > i), and
    their numbers."""
    T, width = values.shape
    future = np.triu(np.ones(values.shape, dtype=bool), 1) & (width > 1)
    # Most values lie between 0.8 and 1: the power spreads that part of the colour scale.
    shades = colour_scale(("#f2f7fb", "#b9d5ea", "#5b9bc9", "#1f5f99", "#0b2f5b"), good**1.6)
    shades[future] = 1 - 0.45 * (1 - shades[future])
    shades[np.isnan(values)] = [int(EMPTY[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    numbers = []
    dark = shades @ (0.299, 0.587, 0.114) < 0.53
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value) or T > _MOST_NUMBERS:
            continue
        text = f"{100 * value:.0f}" if T > 10 else f"{100 * value:.1f}"
        text = text if score.unit == "fraction" else f"{value:.2g}" if T > 10 else f"{value:.3g}"
        colour = "white" if dark[i, j] else FADED if future[i, j] else INK
        numbers.append(CellNumber(i, left + j, text, colour))
    return (255 * shades).round().astype(np.uint8), numbers


def _column_label(experience: int, classes: Sequence[Sequence[int]]) -> str:
    """The experience's number, with its classes if they fit under a column."""
    if experience >= len(classes) or len({tuple(group) for group in classes}) == 1:
        return str(experience)
    group = list(classes[experience])
    run = len(group) > 2 and group == list(range(group[0], group[-1] + 1))
    text = f"{group[0]}–{group[-1]}" if run else ", ".join(str(label) for label in group)
    return f"{experience}\n({text})" if len(text) <= 9 else str(experience)


def _curve_axes(axes: Axes, R: NDArray[np.float64], T: int, score: Score) -> None:
    from matplotlib.ticker import MaxNLocator

    learned = R[np.tril_indices(T)]
    known = learned[~np.isnan(learned)]
    lowest = float(known.min()) if known.size else 0.0
    # The axis need not start at 0: these are lines, not bars.
    bottom, top = (0.0 if lowest < 50 else 10 * np.floor((lowest - 5) / 10)), 100.0
    if score.unit == "number":
        bottom, top = lowest, float(known.max()) if known.size else 1.0
    margin = 0.02 * (top - bottom) or 0.5
    axes.set_ylim(bottom - margin, top + margin)
    axes.set_xlim(-0.2, max(T - 1, 1) + 0.2)
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=score.unit == "fraction"))
    step = max(1, int(np.ceil(T / 25)))
    axes.set_xticks(range(0, T, step))
    axes.set_xlabel("after training on experience", color=FADED, fontsize=10, labelpad=8)
    axes.set_ylabel(
        f"{score.title} in percent" if score.unit == "fraction" else score.title, color=FADED, fontsize=10, labelpad=8
    )
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(_RULE)


def _label_ends(axes: Axes, R: NDArray[np.float64], colours: Sequence[str]) -> None:
    """Each line's name after its last point, moved apart where names would overlap."""
    lines = [(f"experience {j}", R[:, j], j, colours[j], "normal") for j in range(len(R))]
    lines.append(("mean so far", _mean_of_seen(R), 0, INK, "bold"))
    ends = []
    for name, values, first, colour, weight in lines:
        known = np.flatnonzero(~np.isnan(values[first:])) + first
        if known.size:
            ends.append((values[known[-1]], int(known[-1]), name, colour, weight))
    last = max((end[1] for end in ends), default=0)
    ends = sorted(end for end in ends if end[1] == last)
    low, high = axes.get_ylim()
    gap = (high - low) * 0.05
    places = _spread([end[0] for end in ends], gap, low + gap / 2, high - gap / 2)
    for (value, _, name, colour, weight), place in zip(ends, places, strict=True):
        axes.annotate(
            name, (last, value), (last + 0.03 * max(len(R) - 1, 1), place), color=colour, fontsize=9,
            fontweight=weight, va="center", annotation_clip=False,
        )  # fmt: skip


def _spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending `values` moved as little as possible to lie `gap` apart and, if there is room, within [low, high]."""
    # Isotonic regression of the values minus their gaps: neighbours that overlap share a mean.
    blocks: list[tuple[float, int]] = []
    for k, value in enumerate(values):
        mean, count = value - k * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    ceiling = high - (len(means) - 1) * gap
    return [max(low, min(ceiling, mean)) + k * gap for k, mean in enumerate(means)]


def _colour_scale(figure: Figure, axes: Axes, T: int, score: Score) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    scale = ScalarMappable(Normalize(0, T - 1), ListedColormap(colormaps["viridis"](np.linspace(0, PALEST, 256))))
    bar = figure.colorbar(scale, ax=axes, fraction=0.025, pad=0.015, aspect=32)
    bar.set_label(f"{score.title} on experience", color=FADED, fontsize=10)
    bar.set_ticks(list(range(0, T, max(1, T // 10))))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=9, labelcolor=INK)


def png_of(figure: Figure) -> bytes:
    """A matplotlib figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # savefig draws everything twice, first to find the layout.
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return png(Image.fromarray(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])))
