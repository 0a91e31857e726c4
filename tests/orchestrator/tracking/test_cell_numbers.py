"""Numbers that are copied into a figure look like those that matplotlib draws there."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orchestrator.tracking.cell_numbers import CellNumber, write_numbers

NUMBERS = [
    CellNumber(0.3, 0.7, "100", "white"),
    CellNumber(0.61, 0.2, "7", "#1f2933"),
    CellNumber(0.8, 0.71, "42", "red"),
]


def _picture(*, copied: bool) -> NDArray[np.uint8]:
    figure = Figure(figsize=(3, 2), dpi=150, facecolor="#5b9bc9")
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set_axis_off()
    if not copied:
        for x, y, text, colour in NUMBERS:
            axes.text(x, y, text, ha="center", va="center", fontsize=7, color=colour)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.array(np.asarray(canvas.buffer_rgba())[:, :, :3])
    if copied:
        write_numbers(picture, axes, NUMBERS, 7)
    return picture


def _ink(picture: NDArray[np.uint8], number: CellNumber) -> tuple[NDArray[np.int64], int]:
    """Where a number's pixels begin and end, and how much they differ from the background."""
    y, x = round(300 * (0.9 - 0.8 * number.y)), round(450 * (0.1 + 0.8 * number.x))
    cell = picture[y - 20 : y + 20, x - 30 : x + 30].astype(int)
    difference = np.abs(cell - cell[0, 0]).sum(2)
    rows, columns = (np.flatnonzero((difference > 60).any(axis)) for axis in (1, 0))
    return np.array([rows[0], rows[-1], columns[0], columns[-1]]), int(difference.sum())


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_lie_where_texts_would(number: CellNumber) -> None:
    (places, ink), (ours, same) = (_ink(_picture(copied=copied), number) for copied in (False, True))
    assert np.abs(places - ours).max() <= 1
    assert same == pytest.approx(ink, rel=0.1)
