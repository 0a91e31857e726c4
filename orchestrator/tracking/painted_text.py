"""Texts that are painted into a finished picture: matplotlib lays out and draws each by itself, which takes most of the
time of a figure with many."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from PIL import Image, ImageFont

_ACROSS = {"left": "l", "center": "m", "right": "r"}
_DOWN = {"baseline": "s", "center": "m", "center_baseline": "m", "top": "a", "bottom": "d"}


class PaintedText(NamedTuple):
    """A text at a point of the picture.

    Attributes:
        x, y: pixels from the upper left corner.
        points: size of the font.
        anchor: what of the text lies there, as Pillow calls it: `l`, `m` or `r`, then `a` (top), `m`, `s` (baseline) or
            `d` (bottom).
        upwards: written upwards, so that the anchor's `l` is below.
    """

    x: float
    y: float
    text: str
    points: float
    colour: str
    anchor: str = "ls"
    bold: bool = False
    upwards: bool = False


class Fonts:
    """matplotlib's font by size, for one thread."""

    def __init__(self, dpi: float) -> None:
        self._dpi = dpi
        self._held: dict[tuple[float, bool], ImageFont.FreeTypeFont] = {}

    def of(self, points: float, *, bold: bool = False) -> ImageFont.FreeTypeFont:
        """The font of a size in points."""
        from PIL import ImageFont

        if (points, bold) not in self._held:
            file = str(_folder() / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))
            # Texts are the same whichever layout engines are installed.
            font = ImageFont.truetype(file, points * self._dpi / 72, layout_engine=ImageFont.Layout.BASIC)
            self._held[points, bold] = font
        return self._held[points, bold]


def paint(picture: Image.Image, texts: Iterable[PaintedText], fonts: Fonts) -> None:
    """Paint texts into the picture."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    for one in texts:
        font = fonts.of(one.points, bold=one.bold)
        if one.upwards:
            _upwards(picture, one, font)
        else:
            draw.text((one.x, one.y), one.text, fill=one.colour, font=font, anchor=one.anchor)


def taken_from(text: Text) -> PaintedText:
    """A horizontal text of one line of a matplotlib figure, which matplotlib then leaves out."""
    figure = text.get_figure(root=True)
    assert figure is not None
    x, y = text.get_transform().transform(text.get_position())
    text.set_visible(False)
    return PaintedText(
        float(x),
        float(figure.bbox.height - y),
        text.get_text(),
        float(text.get_fontsize()),
        str(text.get_color()),
        _ACROSS[text.get_horizontalalignment()] + _DOWN[text.get_verticalalignment()],
        bold=text.get_fontweight() == "bold",
    )


def png(picture: Image.Image) -> bytes:
    """The picture's file, without metadata."""
    buffer = io.BytesIO()
    # Compressing further takes a third of the time of all figures, and saves a few kB of each.
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def png_of(figure: Figure, texts: Sequence[PaintedText] = ()) -> bytes:
    """A matplotlib figure as PNG, with further texts."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # savefig draws everything twice, first to find the layout.
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3]))
    paint(picture, texts, Fonts(figure.dpi))
    return png(picture)


def _upwards(picture: Image.Image, one: PaintedText, font: ImageFont.FreeTypeFont) -> None:
    from PIL import Image, ImageDraw

    ascent, descent = font.getmetrics()
    long, thick = max(1, round(font.getlength(one.text)) + 2), ascent + descent
    mask = Image.new("L", (long, thick))
    ImageDraw.Draw(mask).text((1, 0), one.text, fill=255, font=font, anchor="la")
    along = {"l": 1.0, "m": 0.5, "r": 0.0}[one.anchor[0]]
    across = {"a": 0.0, "m": 0.5, "s": ascent / thick, "d": 1.0}[one.anchor[1]]
    at = round(one.x - across * thick), round(one.y - along * long)
    picture.paste(one.colour, at, mask.transpose(Image.Transpose.ROTATE_90))


@functools.cache
def _folder() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf")
