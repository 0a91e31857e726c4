"""Heat maps: numbers and labels lie where matplotlib would write them, and what is painted is what was given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from orchestrator.tracking.heat_map import DPI, INK, CellNumber, Labels, colour_scale, heat_map

BLUE = (91, 155, 201)
NOTHING = Labels({}, {}, "", "")


def painted(shades: NDArray[np.uint8], labels: Labels = NOTHING, **options: object) -> NDArray[np.uint8]:
    data = heat_map(shades, cell=0.4, title="", subtitle="", labels=labels, **options)  # type: ignore[arg-type]
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def blue(rows: int, columns: int) -> NDArray[np.uint8]:
    return np.full((rows, columns, 3), BLUE, np.uint8)


def cells(picture: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.nonzero((picture == BLUE).all(2))


@pytest.mark.parametrize(("text", "colour"), [("100", "#ffffff"), ("7", "#1f2933"), ("42", "#ff0000")])
def test_numbers_lie_where_matplotlib_would_write_them(text: str, colour: str) -> None:
    """The same ink, in the middle of the cell, at most a pixel off."""
    ours = painted(blue(1, 1), numbers=[CellNumber(0, 0, text, colour)], size=7)
    rows, columns = cells(ours)
    ours = ours[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    figure = Figure(figsize=(0.4, 0.4), dpi=DPI, facecolor=[one / 255 for one in BLUE])
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=7, color=colour)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    theirs = np.asarray(canvas.buffer_rgba())[:, :, :3]
    (place, ink), (expected, same) = (_ink(one) for one in (ours, theirs))
    assert ours.shape == theirs.shape
    assert np.abs(place - expected).max() <= 2
    assert ink == pytest.approx(same, rel=0.2)


def _ink(cell: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    difference = np.abs(cell.astype(int) - np.array(BLUE)).sum(2)
    rows, columns = (np.flatnonzero((difference > 60).any(axis)) for axis in (1, 0))
    return np.array([rows[0], rows[-1], columns[0], columns[-1]]), int(difference.sum())


def test_cells_their_gaps_and_their_rules() -> None:
    side = round(0.4 * DPI)
    rows, columns = cells(painted(blue(2, 3)))
    assert len(rows) == 6 * side**2
    assert columns.max() - columns.min() == 3 * side - 1
    apart = cells(painted(blue(2, 3), gaps={2: 0.5}))
    assert len(apart[0]) == 6 * side**2 and apart[1].max() - apart[1].min() == 3.5 * side - 1
    ruled = cells(painted(blue(2, 3), rule=72 / DPI))
    assert len(ruled[0]) == 6 * side**2 - 3 * side - 2 * (2 * side) + 2


def test_an_outline_is_around_its_cell_alone() -> None:
    side = round(0.4 * DPI)
    plain, outlined = (painted(blue(3, 3), outlined=which, outline=2 * 72 / DPI) for which in ([], [(1, 2)]))
    rows, columns = np.nonzero((plain != outlined).any(2))
    assert (outlined[rows, columns] == [int(INK[k : k + 2], 16) for k in (1, 3, 5)]).all()
    top, left = (places.min() for places in cells(plain))
    assert rows.min() == top + side - 1 and columns.min() == left + 2 * side - 1
    assert rows.max() - rows.min() == side + 1 and columns.max() - columns.min() == side + 1


def test_labels_have_the_room_they_need() -> None:
    names = {0: "a", 1: "a name that is much longer"}
    for upright in (False, True):
        short, long = (
            painted(blue(2, 2), Labels(shown, shown, "x", "y", upright)) for shown in ({0: "a", 1: "b"}, names)
        )
        # The margins stay empty.
        assert all((edge == 255).all() for edge in (long[:4], long[-4:], long[:, :4], long[:, -4:]))
        assert cells(long)[1].min() > cells(short)[1].min() + 100
        assert (len(long) > len(short) + 100) is upright


def test_colours_between_those_of_a_scale_are_those_of_matplotlib() -> None:
    names, places = ("#f2f7fb", "#5b9bc9", "#0b2f5b"), np.linspace(0, 1, 256)
    expected = LinearSegmentedColormap.from_list("x", names)(places)[:, :3]
    assert np.abs(colour_scale(names, places) - expected).max() < 1 / 255
