"""A heat map as a PNG picture: coloured cells, numbers in them, and labels beside them.

It is painted without matplotlib, whose axes lay out and draw each number and label by itself: a matrix of 20
experiences took nine times as long there, and a run ends when its figures are drawn.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

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

    fonts = _Fonts()
    ticks, axis = fonts.of(_TICK), fonts.of(_AXIS)
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

    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for one in numbers:
        at = left + lefts[one.column] + side / 2, top + (one.row + 0.5) * side
        draw.text(at, one.text, fill=one.colour, font=fonts.of(size, bold=one.bold), anchor="mm")
    for row, text in labels.rows.items():
        draw.text((left - _points(_NEAR), top + (row + 0.5) * side), text, fill=INK, font=ticks, anchor="rm")
    for column, text in labels.columns.items():
        middle, under = left + lefts[column] + side / 2, top + high + _points(_NEAR)
        if labels.upright:
            _upwards(picture, text, ticks, INK, middle, under, above=False)
        for line, part in enumerate(() if labels.upright else text.split("\n")):
            draw.text((middle, under + line * _points(_LINE)), part, fill=INK, font=ticks, anchor="ma")
    foot = top + high + _points(_NEAR) + below + _points(_NEAR)
    draw.text((left + wide / 2, foot), labels.across, fill=FADED, font=axis, anchor="ma")
    _upwards(picture, labels.down, axis, FADED, _points(_MARGIN + _AXIS / 2), top + high / 2, above=True)
    _headline(draw, fonts, title, subtitle, left, top)
    return png(picture)


def colour_scale(colours: Sequence[str], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The colours, (*shape, 3) in [0, 1], of places in [0, 1] between colours #rrggbb at equal distances."""
    known = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in colours])
    at = np.linspace(0, 1, len(known))
    return np.stack([np.interp(places, at, known[:, k]) for k in range(3)], axis=-1)


def png(picture: Image.Image) -> bytes:
    """The picture's file, without metadata."""
    buffer = io.BytesIO()
    # Compressing further takes a third of the time of all figures, and saves a few kB of each.
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


class _Fonts:
    """matplotlib's font, by size; objects of one thread."""

    def __init__(self) -> None:
        self._held: dict[tuple[float, bool], ImageFont.FreeTypeFont] = {}

    def of(self, points: float, *, bold: bool = False) -> ImageFont.FreeTypeFont:
        from PIL import ImageFont

        if (points, bold) not in self._held:
            file = str(_folder() / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))
            # Names are written as they are, from left to right, whichever layout engines are installed.
            font = ImageFont.truetype(file, _points(points), layout_engine=ImageFont.Layout.BASIC)
            self._held[points, bold] = font
        return self._held[points, bold]


@functools.cache
def _folder() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf")


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


def _upwards(
    picture: Image.Image, text: str, font: ImageFont.FreeTypeFont, colour: str, x: float, y: float, *, above: bool
) -> None:
    """A text that is written upwards, centred at x; centred at y (`above`), or ending there with its last letter."""
    from PIL import Image, ImageDraw

    ascent, descent = font.getmetrics()
    wide, high = max(1, round(font.getlength(text)) + 2), ascent + descent
    mask = Image.new("L", (wide, high))
    ImageDraw.Draw(mask).text((1, 0), text, fill=255, font=font, anchor="la")
    mask = mask.transpose(Image.Transpose.ROTATE_90)
    picture.paste(colour, (round(x - high / 2), round(y - wide / 2 if above else y)), mask)


def _headline(draw: ImageDraw.ImageDraw, fonts: _Fonts, title: str, subtitle: str, left: int, top: int) -> None:
    y = top - _points(2 * _NEAR)
    if subtitle:
        draw.text((left, y), subtitle, fill=FADED, font=fonts.of(_SUBTITLE), anchor="ld")
        y -= _points(_SUBTITLE + 1.2 * _NEAR)
    draw.text((left, y), title, fill=INK, font=fonts.of(_TITLE, bold=True), anchor="ld")
