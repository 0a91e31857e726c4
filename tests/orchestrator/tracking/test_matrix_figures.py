"""Figures: any matrix gives a picture that can be read.

Covers: `orchestrator/tracking/score_curves.py`
"""

from __future__ import annotations

import io
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from orchestrator.tracking.matrix_figures import matrix_figure
from orchestrator.tracking.score_curves import _spread, curves_figure

Rows = list[list[float | None]]


def forgetting_matrix(T: int, rows: int | None = None) -> Rows:
    return [[max(0.0, 0.98 - 0.06 * (i - j)) if j <= i else 0.1 for j in range(T)] for i in range(rows or T)]


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    "T", [1, 2, 5, 9, pytest.param(20, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.slow)]
)
def test_draws_short_and_long_streams(T: int) -> None:
    for draw in (matrix_figure, curves_figure):
        image = pixels(draw(forgetting_matrix(T), title="split-digits", subtitle="ewc: average accuracy 90.0 %"))
        height, width, _ = image.shape
        assert 300 < height < 4000
        assert 500 < width < 4000
        assert (image[-1] == 255).all()
        assert (image < 100).any()


@pytest.mark.slow
def test_a_very_long_stream_stays_a_picture_of_bearable_size() -> None:
    assert max(pixels(matrix_figure(forgetting_matrix(120), title="x")).shape) < 4000


@pytest.mark.parametrize("draw", [matrix_figure, curves_figure])
def test_same_matrix_same_bytes(draw: object) -> None:
    assert callable(draw)
    assert draw(forgetting_matrix(3), title="x") == draw(forgetting_matrix(3), title="x")


@pytest.mark.parametrize("draw", [matrix_figure, curves_figure])
def test_cells_without_a_value_and_rows_to_come(draw: object) -> None:
    assert callable(draw)
    rows = forgetting_matrix(5, rows=3)
    full = pixels(draw(rows, title="x", experiences=5))
    rows[2][1] = None
    empty = pixels(draw(rows, title="x", experiences=5))
    assert full.shape == empty.shape
    assert (full != empty).any()
    assert draw([[None]], title="x")
    assert draw([], title="x", experiences=3)


def test_an_empty_cell_has_the_background_of_no_value() -> None:
    rows: Rows = [[None, None], [None, None]]
    image = pixels(matrix_figure(rows, title="x"))
    assert (image == (243, 244, 246)).all(axis=2).sum() > 10_000
    coloured = image[:, :, 2].astype(int) > image[:, :, 0].astype(int) + 40
    assert not coloured.any()


def test_better_is_darker() -> None:
    """Lightness alone orders the colours, so they can be read in black and white."""
    lightness = [_cell(value).mean() for value in (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)]
    assert lightness == sorted(lightness, reverse=True)
    assert lightness[0] - lightness[-1] > 150


def test_what_a_pipeline_is_called_is_not_taken_for_a_formula() -> None:
    assert matrix_figure(forgetting_matrix(2), title=r"a$\frac{$b_{", subtitle="$$", classes=[(0,), (1,)])


def test_classes_are_named_under_the_columns() -> None:
    plain = matrix_figure(forgetting_matrix(2), title="x")
    assert matrix_figure(forgetting_matrix(2), title="x", classes=[(0, 1), (2, 3)]) != plain
    long = [tuple(range(0, 100, 7)), tuple(range(1, 100, 7))]
    assert matrix_figure(forgetting_matrix(2), title="x", classes=long) == plain
    everything = [(0, 1, 2), (0, 1, 2)]
    assert matrix_figure(forgetting_matrix(2), title="x", classes=everything) == plain


@given(st.lists(st.floats(0, 100), max_size=9).map(sorted))
def test_names_of_lines_lie_apart_and_in_order(values: list[float]) -> None:
    places = _spread(values, 5.0, 0.0, 100.0)
    assert len(places) == len(values)
    assert all(after - before > 5 - 1e-9 for before, after in itertools.pairwise(places))
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in places)
    if all(after - before >= 5 for before, after in itertools.pairwise(values)):
        assert places == pytest.approx(values)


def test_draws_in_several_threads_at_once() -> None:
    expected = matrix_figure(forgetting_matrix(4), title="x")
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(matrix_figure(forgetting_matrix(4), title="x"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def _cell(value: float) -> NDArray[np.float64]:
    """The commonest colour of the column of means, which is not white."""
    image = pixels(matrix_figure([[value]], title="x"))
    colours, counts = np.unique(image.astype(np.int64) @ (65536, 256, 1), return_counts=True)
    common = next(int(colours[k]) for k in np.argsort(counts)[::-1] if colours[k] != 0xFFFFFF)
    return np.array([common >> 16, common >> 8 & 255, common & 255], dtype=np.float64)
