"""Photos of shapes, made up: the same four shapes in each experience, in a world that looks different each time.

The files are what people have: PNG files of different sizes, in a folder for each class. At noon shapes are dark on a
bright ground, at night bright on a dark one, in fog pale, and in the forest on a ground full of lines.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import Dataset, ExperienceDataset, dataset
from pipelines.data.datasets.image_folder import load as image_folder

SHAPES = ("circle", "cross", "square", "triangle")
WORLDS = ("noon", "night", "fog", "forest")


@dataset
def load(
    folder: str = "shapes-data", worlds: int = 4, images: int = 60, size: int = 24, seed: int = 0
) -> Dataset | ExperienceDataset:
    """A folder for each world with one for each shape, drawn into a folder if they are not there yet.

    Args:
        folder: where they are, a folder for each number of images and seed below it.
        worlds: how many experiences, at most 4.
        images: of each shape in each world.
        size: to which images are brought.
        seed: of the drawings.
    """
    place = Path(folder) / f"images-{images}-seed-{seed}-worlds-{worlds}"
    for number, world in enumerate(WORLDS[:worlds]):
        for kind, shape in enumerate(SHAPES):
            for image in range(images):
                file = place / f"{number + 1}-{world}" / shape / f"{image:03}.png"
                if not file.exists():
                    _write(file, drawing(shape, world, np.random.default_rng([seed, number, kind, image])))
    return image_folder(str(place), by="folder", size=size, channels="rgb")


def drawing(shape: str, world: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of (height, width, 3), 28 to 40 pixels high and wide."""
    height, width = random.integers(28, 41, 2)
    y, x = np.mgrid[:height, :width]
    radius = random.uniform(0.25, 0.4) * min(height, width)
    across = (x - width / 2 - random.uniform(-3, 3)) / radius
    down = (y - height / 2 - random.uniform(-3, 3)) / radius
    turn = random.uniform(-0.2, 0.2)
    u, v = np.cos(turn) * across + np.sin(turn) * down, np.cos(turn) * down - np.sin(turn) * across
    inside = {
        "circle": u**2 + v**2 < 1,
        "square": np.maximum(abs(u), abs(v)) < 0.9,
        "cross": (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1),
        "triangle": (v < 0.8) & (abs(u) < (v + 1) * 0.55),
    }[shape][..., None]
    tint = random.uniform(0.8, 1.2, 3)
    ground, ink = {"noon": (225.0, 60.0), "night": (25.0, 190.0), "fog": (170.0, 130.0), "forest": (90.0, 170.0)}[world]
    picture = np.where(inside, ink, ground) * tint
    if world == "forest":
        picture = np.where(~inside & ((x + random.integers(6)) % 6 < 2)[..., None], 30.0, picture)
    noisy: NDArray[np.uint8] = (picture + random.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)
    return noisy


def _write(file: Path, picture: NDArray[np.uint8]) -> None:
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    Image.fromarray(picture).save(partial, "PNG")
    partial.replace(file)
