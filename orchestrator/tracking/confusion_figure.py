"""The confusion matrix as a picture: predicted classes by target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.tracking.matrix_figures import EMPTY, FADED, INK, figure_of, headline_of, png_of

# The cells of a larger matrix are too small for numbers.
_MOST_NUMBERS = 30
_LONGEST_NAME = 20


def confusion_figure(
    matrix: Sequence[Sequence[int]], *, title: str, subtitle: str = "", names: Sequence[str] | None = None
) -> bytes:
    """The heat map of a confusion matrix, each row in percent of its samples, as PNG.

    Args:
        matrix: samples by the class that is right (row) and the one that was answered (column); a row without samples
            stays grey.
        title, subtitle: shown above the map.
        names: the name of each class, shown beside the map; None: their numbers.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.array(matrix, dtype=np.float64).reshape(len(matrix), len(matrix))
    n = len(counts)
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    cell = float(np.interp(n, (2, 10, 30, 31, 100, 256), (0.9, 0.58, 0.36, 0.2, 0.08, 0.035)))
    figure = figure_of(max(n * cell + 1.6, 5.5), n * cell + 2.4)
    axes = figure.subplots()
    headline_of(axes, title, subtitle)
    colours = LinearSegmentedColormap.from_list("share", ("#fbfcfe", "#b9d5ea", "#5b9bc9", "#1f5f99", "#0b2f5b"))
    # Mistakes are rare: the square root makes their colour visible beside that of correct predictions.
    shades = colours(np.sqrt(np.nan_to_num(shares)))
    shades[np.isnan(shares)] = (*(int(EMPTY[k : k + 2], 16) / 255 for k in (1, 3, 5)), 1.0)
    axes.imshow(shades, aspect="equal", interpolation="nearest")
    if n <= _MOST_NUMBERS:
        size = float(np.clip(cell * 72 / 4, 5.5, 11))
        for (i, j), share in np.ndenumerate(shares):
            # Cells with 0 stay empty: otherwise their numbers hide the mistakes.
            if np.isnan(share) or share < 0.0005:
                continue
            dark = float(shades[i, j, :3] @ (0.299, 0.587, 0.114)) < 0.53
            text = f"{100 * share:.0f}" if share >= 0.095 or n > 12 else f"{100 * share:.1f}"
            axes.text(
                j, i, text, ha="center", va="center", fontsize=size, color="white" if dark else INK, in_layout=False,
                fontweight="bold" if i == j else "normal",
            )  # fmt: skip
        axes.vlines(np.arange(0.5, n - 1), -0.5, n - 0.5, color="white", linewidth=1.2)
        axes.hlines(np.arange(0.5, n - 1), -0.5, n - 0.5, color="white", linewidth=1.2)
    every = 1 if n <= 20 else 5 if n <= 60 else 10 if n <= 120 else 25
    axes.set_xticks(range(0, n, every))
    axes.set_yticks(range(0, n, every))
    if names is not None and len(names) == n:
        # matplotlib reads a dollar sign as the start of a formula.
        shown = [_short(name).replace("$", r"\$") for name in names[::every]]
        axes.set_xticklabels(shown, rotation=90 if max(map(len, shown)) > 3 else 0)
        axes.set_yticklabels(shown)
    axes.tick_params(length=0 if every == 1 else 3, labelsize=9, labelcolor=INK, color=FADED)
    for spine in axes.spines.values():
        spine.set_visible(n > _MOST_NUMBERS)
        spine.set_color(FADED)
    axes.set_xlabel("answered class", color=FADED, fontsize=10, labelpad=8)
    axes.set_ylabel("right class (each row in percent of its samples)", color=FADED, fontsize=10, labelpad=8)
    return png_of(figure)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
