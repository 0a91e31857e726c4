"""The confusion matrix as a picture: predicted classes by target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.tracking.heat_map import EMPTY, INK, CellNumber, Labels, colour_scale, heat_map

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
    counts = np.array(matrix, dtype=np.float64).reshape(len(matrix), len(matrix))
    n = len(counts)
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    # Mistakes are rare: the square root makes their colour visible beside that of correct predictions.
    scale = ("#fbfcfe", "#b9d5ea", "#5b9bc9", "#1f5f99", "#0b2f5b")
    shades = colour_scale(scale, np.sqrt(np.nan_to_num(shares)))
    shades[np.isnan(shares)] = [int(EMPTY[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    dark = shades @ (0.299, 0.587, 0.114) < 0.53
    numbers = []
    for (i, j), share in np.ndenumerate(shares if n <= _MOST_NUMBERS else shares[:0]):
        # Cells with 0 stay empty: otherwise their numbers hide the mistakes.
        if np.isnan(share) or share < 0.0005:
            continue
        text = f"{100 * share:.0f}" if share >= 0.095 or n > 12 else f"{100 * share:.1f}"
        numbers.append(CellNumber(i, j, text, "white" if dark[i, j] else INK, bold=i == j))
    every = 1 if n <= 20 else 5 if n <= 60 else 10 if n <= 120 else 25
    named = names is not None and len(names) == n
    shown = {k: _short(names[k]) if named and names is not None else str(k) for k in range(0, n, every)}
    cell = float(np.interp(n, (2, 10, 30, 31, 100, 256), (0.9, 0.58, 0.36, 0.2, 0.08, 0.035)))
    down = "right class (each row in percent of its samples)"
    return heat_map(
        (255 * shades).round().astype(np.uint8),
        cell=cell,
        title=title,
        subtitle=subtitle,
        labels=Labels(shown, shown, "answered class", down, upright=named and max(map(len, shown.values())) > 3),
        numbers=numbers,
        size=float(np.clip(cell * 72 / 4, 5.5, 11)),
        rule=1.2 if n <= _MOST_NUMBERS else 0.0,
        framed=n > _MOST_NUMBERS,
        narrowest=5.5,
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
