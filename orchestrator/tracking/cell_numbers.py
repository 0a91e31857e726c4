"""Numbers in the cells of a large figure: each text is drawn once and copied into its cells.

matplotlib lays out and draws every text anew: the 2500 numbers of 50 experiences took three quarters of the time of
all figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CellNumber(NamedTuple):
    """A text centred at a point of the axes, in data coordinates."""

    x: float
    y: float
    text: str
    colour: str


def write_numbers(picture: NDArray[np.uint8], axes: Axes, numbers: Sequence[CellNumber], size: float) -> None:
    """Write numbers into a picture, in place.

    Args:
        picture: (height, width, 3 or more) of the figure, which has been drawn, so that its layout is known.
        size: of the font, in points.
    """
    if not numbers:
        return
    from matplotlib.colors import to_rgb

    dpi = axes.figure.dpi
    masks = {text: _mask(text, size, dpi) for text in {number.text for number in numbers}}
    colours = {name: 255 * np.array(to_rgb(name)) for name in {number.colour for number in numbers}}
    places = axes.transData.transform([(number.x, number.y) for number in numbers])
    for number, (x, y) in zip(numbers, places, strict=True):
        mask = masks[number.text]
        high, wide = mask.shape[:2]
        top, left = round(len(picture) - y - high / 2), round(x - wide / 2)
        cell = picture[top : top + high, left : left + wide, :3]
        cell[:] = np.rint(cell + (colours[number.colour] - cell) * mask)


def _mask(text: str, size: float, dpi: float) -> NDArray[np.float64]:
    """How much of each pixel a text covers, (height, width, 1) in [0, 1], with the text in the middle."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    high, wide = (2 * int(np.ceil(size / 72 * dpi * share)) for share in (0.8, 0.4 * max(2, len(text))))
    figure = Figure(figsize=(wide / dpi, high / dpi), dpi=dpi, facecolor="none")
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=size, parse_math=False)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, 3:] / 255.0
