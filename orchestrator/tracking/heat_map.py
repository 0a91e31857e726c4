"""A heat map as a PNG picture: coloured cells, numbers in them, and labels beside them.

It is painted without matplotlib, whose axes lay out and draw each number and label by itself: a matrix of 20
experiences took nine times as long there, and a run ends when its figures are drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.tracking.painted_text import Fonts, PaintedText, paint, png

INK, FADED, EMPTY = "#1f2933", "#6b7785", "#f3f4f6"
DPI = 150
_TITLE, _SUBTITLE, _AXIS, _TICK = 13.0, 10.0, 10.0, 9.0
# Points: around the picture; between a text and what it belongs to; between the lines of a label.
_MARGIN, _NEAR, _LINE = 8.0, 5.0, 11.0


class CellNumber(NamedTuple):
    """A text in the middle of a cell."""

    row: int
    column: int
    text: str
    colour: str
    bold: bool = False


class Labels(NamedTuple):
    """What stands beside the cells.

    Attributes:
        rows, columns: by place; a column's may have several lines.
        across, down: what the columns and the rows are.
        upright: columns' labels are written upwards.
    """

    rows: Mapping[int, str]
    columns: Mapping[int, str]
    across: str
    down: str
    upright: bool = False


def heat_map(
    shades: NDArray[np.uint8],
    *,
    cell: float,
    title: str,
    subtitle: str,
    labels: Labels,
    numbers: Sequence[CellNumber] = (),
    size: float = 8.0,
    gaps: Mapping[int, float] | None = None,
    rule: float = 0.0,
    outlined: Sequence[tuple[int, int]] = (),
    outline: float = 1.0,
    framed: bool = False,
    narrowest: float = 6.0,
) -> bytes:
    """The picture as PNG. The same input gives the same bytes.

    Args:
        shades: (rows, columns, 3), the colour of each cell.
        cell: its width and height in inches.
        title, subtitle: shown above the map.
        numbers: in cells, in points of `size`.
        gaps: white space before a column, in cells.
        rule: width of the white lines between cells, in points.
        outlined: cells with a frame, whose width in points is `outline`.
        framed: a frame around the map.
        narrowest: the least width of the picture in inches.
    """
    rows, columns = shades.shape[:2]
    side, gaps = max(1, round(cell * DPI)), gaps or {}
    offsets = np.cumsum([side * gaps.get(j, 0.0) for j in range(columns)]).round().astype(int)
    lefts = [j * side + int(offsets[j]) for j in range(columns)]
    high, wide = rows * side, (lefts[-1] + side if lefts else 0)

    fonts = Fonts(DPI)
    ticks = fonts.of(_TICK)
    beside = max((ticks.getlength(text) for text in labels.rows.values()), default=0.0)
    lines = max((text.count("\n") + 1 for text in labels.columns.values()), default=0)
    longest = max((ticks.getlength(line) for text in labels.columns.values() for line in text.split("\n")), default=0.0)
    below = longest if labels.upright else _points(_LINE) * lines
    left = round(_points(_MARGIN + _AXIS + 1.5 * _NEAR) + beside + _points(_NEAR))
    top = round(_points(_MARGIN + _TITLE + (_SUBTITLE + 1.2 * _NEAR if subtitle else 0.0) + 2 * _NEAR))
    bottom = round(_points(_NEAR) + below + _points(_NEAR + _AXIS + _MARGIN))
    # A long title makes the picture wider, up to a limit.
    heading = max(fonts.of(_TITLE, bold=True).getlength(title), fonts.of(_SUBTITLE).getlength(subtitle))
    heading = min(heading, _points(72 * 2 * narrowest))
    right = round(_points(_MARGIN) + longest / 2 * (not labels.upright))
    width = max(left + wide + right, round(left + heading + _points(_MARGIN)), round(narrowest * DPI))

    pixels = np.full((top + high + bottom, width, 3), 255, np.uint8)
    _paint_cells(pixels[top : top + high], shades, [left + x for x in lefts], side)
    _rule(pixels, top, [left + x for x in lefts], (rows, side), round(_points(rule)))
    for i, j in outlined:
        _frame(pixels, top + i * side, left + lefts[j], side, side, max(1, round(_points(outline))), INK)
    if framed:
        _frame(pixels, top, left, high, wide, 1, FADED)

    texts = [
        PaintedText(left + lefts[j] + side / 2, top + (i + 0.5) * side, text, size, colour, "mm", bold=bold)
        for i, j, text, colour, bold in numbers
    ]
    for row, text in labels.rows.items():
        at = left - _points(_NEAR), top + (row + 0.5) * side
        texts.append(PaintedText(*at, text, _TICK, INK, "rm"))
    for column, text in labels.columns.items():
        middle, under = left + lefts[column] + side / 2, top + high + _points(_NEAR)
        if labels.upright:
            texts.append(PaintedText(middle, under, text, _TICK, INK, "rm", upwards=True))
        for line, part in enumerate(() if labels.upright else text.split("\n")):
            texts.append(PaintedText(middle, under + line * _points(_LINE), part, _TICK, INK, "ma"))
    foot = top + high + _points(_NEAR) + below + _points(_NEAR)
    texts.append(PaintedText(left + wide / 2, foot, labels.across, _AXIS, FADED, "ma"))
    texts.append(PaintedText(_points(_MARGIN), top + high / 2, labels.down, _AXIS, FADED, "ma", upwards=True))
    texts += headline(title, subtitle, left, top)
    from PIL import Image

    picture = Image.fromarray(pixels)
    paint(picture, texts, fonts)
    return png(picture)


def headline(title: str, subtitle: str, left: float, top: float) -> list[PaintedText]:
    """Title and subtitle of a picture whose content begins at this pixel."""
    y, lines = top - _points(2 * _NEAR), []
    if subtitle:
        lines.append(PaintedText(left, y, subtitle, _SUBTITLE, FADED, "ld"))
        y -= _points(_SUBTITLE + 1.2 * _NEAR)
    return [PaintedText(left, y, title, _TITLE, INK, "ld", bold=True), *lines]


def colour_scale(colours: Sequence[str], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The colours, (*shape, 3) in [0, 1], of places in [0, 1] between colours #rrggbb at equal distances."""
    known = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in colours])
    at = np.linspace(0, 1, len(known))
    return np.stack([np.interp(places, at, known[:, k]) for k in range(3)], axis=-1)


def _points(number: float) -> float:
    """Points in pixels."""
    return number * DPI / 72


def _paint_cells(band: NDArray[np.uint8], shades: NDArray[np.uint8], lefts: Sequence[int], side: int) -> None:
    tall = np.repeat(shades, side, axis=0)
    for j, left in enumerate(lefts):
        band[:, left : left + side] = tall[:, j, None]


def _rule(pixels: NDArray[np.uint8], top: int, lefts: Sequence[int], grid: tuple[int, int], width: int) -> None:
    """White lines between cells that touch."""
    rows, side = grid
    if width < 1 or not lefts:
        return
    first = width // 2
    for i in range(1, rows):
        y = top + i * side - first
        pixels[y : y + width, lefts[0] : lefts[-1] + side] = 255
    for before, left in itertools.pairwise(lefts):
        if left == before + side:
            pixels[top : top + rows * side, left - first : left - first + width] = 255


def _frame(pixels: NDArray[np.uint8], top: int, left: int, high: int, wide: int, width: int, colour: str) -> None:
    """A frame whose middle is the edge of a rectangle."""
    rgb, out = [int(colour[k : k + 2], 16) for k in (1, 3, 5)], width // 2
    y0, x0, y1, x1 = max(top - out, 0), max(left - out, 0), top + high - out, left + wide - out
    for part in (np.s_[y0 : y0 + width, x0 : x1 + width], np.s_[y1 : y1 + width, x0 : x1 + width],
                 np.s_[y0 : y1 + width, x0 : x0 + width], np.s_[y0 : y1 + width, x1 : x1 + width]):  # fmt: skip
        pixels[part] = rgb
