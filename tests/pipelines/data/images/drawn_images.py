"""Small images for tests: each class has a colour of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"cat": (200, 20, 20), "dog": (20, 200, 20), "emu": (20, 20, 200)}


def draw(file: Path, colour: tuple[int, ...] | int = (200, 20, 20), size: tuple[int, int] = (6, 4)) -> Path:
    """An image of one colour, RGB or grey, of (width, height)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(file)
    return file


def class_folders(folder: Path, count: int = 5, classes: tuple[str, ...] = ("cat", "dog", "emu")) -> Path:
    """A folder for each class with `count` images, the n-th a little darker than the one before."""
    for name in classes:
        for number in range(count):
            colour = tuple(int(value) for value in np.array(COLOURS[name]) - number)
            draw(folder / name / f"{number}.png", colour)
    return folder
