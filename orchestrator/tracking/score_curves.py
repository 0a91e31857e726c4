"""The curves of the score matrix as PNG bytes: one for each experience over time, and their mean.

They are drawn on matplotlib's Agg canvas without pyplot, so no display is needed, nothing global is changed, and a
background thread may draw. The same input gives the same bytes. Curves differ in marker and label as well as in hue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.tracking.experience_colours import FEW, PALEST, experience_colours
from orchestrator.tracking.heat_map import DPI, FADED, INK, headline
from orchestrator.tracking.matrix_figures import Rows, mean_of_seen, square
from orchestrator.tracking.painted_text import PaintedText, png_of
from strategies.metrics import ACCURACY, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RULE = "#d5dae0"
_MARKERS = "os^Dv<>P"


def curves_figure(
    rows: Rows, *, title: str, subtitle: str = "", experiences: int | None = None, score: Score = ACCURACY
) -> bytes:
    """The score on each experience from when it was learned, and on all of them so far, as PNG.

    Args: as of `matrix_figure`.
    """
    R = _scale(score) * square(rows, experiences)
    T = len(R)
    few = len(FEW) >= T
    width, height = max(7.5, min(4.5 + 0.55 * T, 13.0)), 5.0
    frame = _Frame(width, height, left=0.8, bottom=0.65, right=1.1, top=0.75)
    figure, axes = frame.figure()
    colours = experience_colours(T)
    for j in range(T):
        after = np.arange(j, T)
        known = ~np.isnan(R[j:, j])
        if not known.any():
            continue
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
            clip_on=False,
        )
    seen = mean_of_seen(R)
    known = ~np.isnan(seen)
    axes.plot(
        np.arange(T)[known], seen[known], color=INK, linewidth=3.0, solid_capstyle="round", zorder=3, clip_on=False
    )
    _scale_axes(axes, R, T, score)
    texts = [*headline(title, subtitle, *frame.pixel(0, 1)), *_axis_texts(frame, axes, T, score)]
    if few:
        texts += _label_ends(frame, axes, R, colours)
    else:
        _colour_bar(figure, frame)
        texts += _bar_texts(frame, T, score)
    return png_of(figure, texts)


class _Frame(NamedTuple):
    """Where the axes lie in a picture, in inches: its size, and the space around them."""

    width: float
    height: float
    left: float
    bottom: float
    right: float
    top: float

    def figure(self) -> tuple[Figure, Axes]:
        """The figure with its axes, of which matplotlib draws the content only."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor="white")
        axes = figure.add_axes(self.box())
        axes.set_axis_off()
        return figure, axes

    def box(self) -> tuple[float, float, float, float]:
        """Left, bottom, width and height as shares of the picture."""
        wide, high = self.width - self.left - self.right, self.height - self.bottom - self.top
        return self.left / self.width, self.bottom / self.height, wide / self.width, high / self.height

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point whose coordinates in the axes are shares of their width and height."""
        left, bottom, wide, high = self.box()
        return DPI * self.width * (left + x * wide), DPI * self.height * (1 - bottom - y * high)


def _scale(score: Score) -> int:
    return 100 if score.unit == "fraction" else 1


def _scale_axes(axes: Axes, R: NDArray[np.float64], T: int, score: Score) -> None:
    """Limits of the axes, and the lines behind the curves."""
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
    heights = [bottom - margin, *_heights(axes, score)]
    axes.hlines(heights, *axes.get_xlim(), color=_RULE, linewidth=0.8, zorder=1, clip_on=False)


def _heights(axes: Axes, score: Score) -> list[float]:
    """Where the y axis has numbers."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.get_ylim()
    found = MaxNLocator(steps=[1, 2, 5, 10], integer=score.unit == "fraction").tick_values(low, high)
    return [float(value) for value in found if low <= value <= high]


def _axis_texts(frame: _Frame, axes: Axes, T: int, score: Score) -> list[PaintedText]:
    (first, last), (low, high) = axes.get_xlim(), axes.get_ylim()
    left, foot = frame.pixel(0, 0)
    texts = []
    for k in range(0, T, max(1, int(np.ceil(T / 25)))):
        x, y = frame.pixel((k - first) / (last - first), 0)
        texts.append(PaintedText(x, y + 8, str(k), 9, INK, "ma"))
    for value in _heights(axes, score):
        y = frame.pixel(0, (value - low) / (high - low))[1]
        texts.append(PaintedText(left - 8, y, f"{value:.6g}", 9, INK, "rm"))
    middle, beside = frame.pixel(0.5, 0)[0], frame.pixel(0, 0.5)[1]
    texts.append(PaintedText(middle, foot + 42, "after training on experience", 10, FADED, "ma"))
    title = f"{score.title} in percent" if score.unit == "fraction" else score.title
    return [*texts, PaintedText(16, beside, title, 10, FADED, "ma", upwards=True)]


def _label_ends(frame: _Frame, axes: Axes, R: NDArray[np.float64], colours: Sequence[str]) -> list[PaintedText]:
    """Each line's name after its last point, moved apart where names would overlap."""
    lines = [(f"experience {j}", R[:, j], j, colours[j], False) for j in range(len(R))]
    lines.append(("mean so far", mean_of_seen(R), 0, INK, True))
    ends = []
    for name, values, first, colour, bold in lines:
        known = np.flatnonzero(~np.isnan(values[first:])) + first
        if known.size:
            ends.append((values[known[-1]], int(known[-1]), name, colour, bold))
    last = max((end[1] for end in ends), default=0)
    ends = sorted(end for end in ends if end[1] == last)
    (start, stop), (low, high) = axes.get_xlim(), axes.get_ylim()
    gap = (high - low) * 0.05
    places = _spread([end[0] for end in ends], gap, low + gap / 2, high - gap / 2)
    texts = []
    for (_, _, name, colour, bold), place in zip(ends, places, strict=True):
        x, y = frame.pixel((last - start) / (stop - start), (place - low) / (high - low))
        texts.append(PaintedText(x + 14, y, name, 9, colour, "lm", bold=bold))
    return texts


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


def _bar(frame: _Frame) -> tuple[float, float, float, float]:
    """The box of the bar that shows the curves' colours."""
    left, bottom, wide, high = frame.box()
    return left + wide + 0.2 / frame.width, bottom, 0.14 / frame.width, high


def _colour_bar(figure: Figure, frame: _Frame) -> None:
    from matplotlib import colormaps

    bar = figure.add_axes(_bar(frame))
    bar.set_axis_off()
    bar.imshow(
        np.linspace(0, PALEST, 256)[:, None], cmap=colormaps["viridis"], vmin=0, vmax=1, aspect="auto", origin="lower"
    )


def _bar_texts(frame: _Frame, T: int, score: Score) -> list[PaintedText]:
    left, bottom, wide, high = _bar(frame)
    side, texts = DPI * frame.width * (left + wide), []
    for k in range(0, T, max(1, T // 10)):
        y = DPI * frame.height * (1 - bottom - high * k / (T - 1))
        texts.append(PaintedText(side + 8, y, str(k), 9, INK, "lm"))
    middle = DPI * frame.height * (1 - bottom - high / 2)
    edge = DPI * frame.width - 12
    texts.append(PaintedText(edge, middle, f"{score.title} on experience", 10, FADED, "md", upwards=True))
    # The lower left corner has the fewest curves.
    x, y = frame.pixel(0, 0)
    return [*texts, PaintedText(x + 16, y - 12, "bold: mean so far", 9, INK, "ld", bold=True)]
