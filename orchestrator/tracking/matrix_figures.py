"""The heat map of the score matrix as PNG bytes.

Lightness alone orders its colours: it can be read without telling colours apart. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.tracking.heat_map import EMPTY, FADED, INK, CellNumber, Labels, colour_scale, heat_map
from strategies.metrics import ACCURACY, Score, as_matrix

Rows = Sequence[Sequence[float | None]]

# The cells of a longer stream are too small for numbers.
_MOST_NUMBERS = 60
# Distance between the matrix and the column of means, in cells.
_GAP = 0.3


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
    R = square(rows, experiences)
    T = len(R)
    cell = float(np.interp(T, (2, 5, 10, 20, 60, 61, 200), (1.0, 0.86, 0.64, 0.45, 0.36, 0.18, 0.06)))
    means = mean_of_seen(R)[:, None]
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


def square(rows: Rows, experiences: int | None) -> NDArray[np.float64]:
    """R as (T, T), NaN where nothing was tested."""
    T = max([experiences or 1, len(rows), *(len(row) for row in rows)])
    R = np.full((T, T), np.nan)
    for i, row in enumerate(rows):
        R[i, : len(row)] = as_matrix([row])[0]
    return R


def mean_of_seen(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of R[i, 0..i]; NaN in a row that is not complete."""
    return np.array([np.mean(R[i, : i + 1]) for i in range(len(R))])


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
