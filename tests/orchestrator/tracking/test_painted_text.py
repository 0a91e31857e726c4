"""Texts that are painted lie where matplotlib would have written them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from orchestrator.tracking.painted_text import Fonts, PaintedText, paint, png_of, taken_from


def drawn(*, painted: bool, **options: Any) -> NDArray[np.int64]:
    """Where ink is: top, bottom, left and right."""
    figure = Figure(figsize=(3, 2), dpi=120, facecolor="white")
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set_axis_off()
    text = axes.text(0.5, 0.4, "Typing 42", fontsize=11, **options)
    with Image.open(io.BytesIO(png_of(figure, [taken_from(text)] if painted else []))) as image:
        dark = np.asarray(image.convert("L")) < 200
    rows, columns = (np.flatnonzero(dark.any(axis)) for axis in (1, 0))
    return np.array([rows[0], rows[-1], columns[0], columns[-1]])


@pytest.mark.parametrize("ha", ["left", "center", "right"])
@pytest.mark.parametrize("va", ["baseline", "center"])
@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_texts_lie_where_matplotlib_would_write_them(ha: str, va: str, weight: str) -> None:
    ours, theirs = (drawn(painted=painted, ha=ha, va=va, fontweight=weight) for painted in (True, False))
    assert np.abs(ours - theirs).max() <= 3


@pytest.mark.parametrize("anchor", ["lm", "mm", "rm"])
def test_a_text_upwards_is_the_text_turned(anchor: str) -> None:
    """Its beginning is below: `l` is the anchor at its lower end."""
    level, turned = Image.new("RGB", (200, 200), "white"), Image.new("RGB", (200, 200), "white")
    paint(level, [PaintedText(100, 100, "abc", 12, "black", "mm")], Fonts(120))
    paint(turned, [PaintedText(100, 100, "abc", 12, "black", anchor, upwards=True)], Fonts(120))
    (there, expected) = (np.argwhere(np.asarray(image.convert("L")) < 200) for image in (turned, level))
    high, wide = np.ptp(there, axis=0)
    assert abs(high - np.ptp(expected[:, 1])) <= 2 and abs(wide - np.ptp(expected[:, 0])) <= 2
    ends = {"l": there[:, 0].max(), "m": (there[:, 0].max() + there[:, 0].min()) / 2, "r": there[:, 0].min()}
    assert ends[anchor[0]] == pytest.approx(100, abs=3)
