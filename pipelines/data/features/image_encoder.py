"""A column of images as their pixels, brought to one size and standardised by channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.features.feature_columns import Kind
from pipelines.data.images.image_options import ImageOptions

_CHANNELS: dict[Literal["grey", "rgb"], tuple[str, ...]] = {"grey": ("grey",), "rgb": ("red", "green", "blue")}
_DEFAULT = ImageOptions((32, 32), "rgb")


@dataclass(frozen=True)
class Image:
    """Pixels / 255 as their distance from the mean of their channel in standard deviations; and whether it is missing.

    A missing image is all 0.

    Attributes:
        name: of the column.
        height, width: in pixels, to which images are brought; they are cut at their longer side.
        channels: to which they are brought.
        mean, scale: of each channel in experience 0, without missing images; scale 1 where all values are the same.
    """

    kind: ClassVar[Kind] = "image"

    name: str
    height: int
    width: int
    channels: Literal["grey", "rgb"]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], vocabulary: int, options: ImageOptions = _DEFAULT) -> Image:
        """Fitted on (n,) ImageSource, or None where an image is missing.

        Args:
            vocabulary: has no meaning here.
            options: with size and channels.

        Raises:
            DataError: an image is broken; the message names it.
        """
        return cls.of_counts(name, brightness_counts(values, options), options)

    @classmethod
    def of_counts(cls, name: str, counts: NDArray[np.int64], options: ImageOptions) -> Image:
        """Fitted on images of which it is known how often each brightness occurs.

        Args:
            counts: (channels, 256).
        """
        assert options.size is not None and options.channels != "auto"
        mean, scale = zip(*map(_moments, counts), strict=True)
        return cls(name, *options.size, options.channels, mean, scale)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return len(_CHANNELS[self.channels]), self.height, self.width

    @property
    def columns(self) -> tuple[str, ...]:
        places = [f"{row},{column}" for row in range(self.height) for column in range(self.width)]
        names = (f"{self.name} {channel} {place}" for channel in _CHANNELS[self.channels] for place in places)
        return *names, f"{self.name} missing"

    @property
    def size(self) -> int | None:
        return None

    def encode(self, values: NDArray[Any], *, keep: bool = False) -> NDArray[np.float32]:
        """(n,) ImageSource or None to (n, columns) numbers.

        Args:
            keep: decoded images are kept on this machine, and taken from there.

        Raises:
            DataError: an image is broken; the message names it.
        """
        there = np.array([value is not None for value in values.tolist()], dtype=bool)
        pixels = _pixels(values[there].tolist(), ImageOptions((self.height, self.width), self.channels), keep=keep)
        found = np.zeros((len(values), math.prod(self.shape) + 1), dtype=np.float32)
        made = np.empty(pixels.shape, dtype=np.float32)
        for channel, (mean, scale) in enumerate(zip(self.mean, self.scale, strict=True)):
            table = ((np.arange(256) / 255 - mean) / scale).astype(np.float32)
            made[:, channel] = table[pixels[:, channel]]
        found[there, :-1] = made.reshape(len(made), found.shape[1] - 1)
        found[:, -1] = ~there
        return found

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "mean": list(self.mean),
            "scale": list(self.scale),
        }

    @classmethod
    def read(cls, document: dict[str, Any]) -> Image:
        mean, scale = (tuple(map(float, document[key])) for key in ("mean", "scale"))
        channels: Literal["grey", "rgb"] = "grey" if document["channels"] == "grey" else "rgb"
        return cls(str(document["name"]), int(document["height"]), int(document["width"]), channels, mean, scale)

    @property
    def words(self) -> str:
        return f"{self.height}x{self.width} pixels ({self.channels}), standardised, and whether it is missing"


def _pixels(sources: list[Any], options: ImageOptions, *, keep: bool) -> NDArray[np.uint8]:
    """(n, channels, height, width)."""
    # Here, so that a table without images needs neither Pillow nor the code that reads files.
    if keep:
        from pipelines.data.images.image_cache import cached_images

        return cached_images(sources, options)
    from pipelines.data.images.decode_images import decode_images

    return decode_images(sources, options)


def brightness_counts(values: NDArray[Any], options: ImageOptions) -> NDArray[np.int64]:
    """(channels, 256): how many pixels of (n,) ImageSource or None have each brightness. Raises DataError."""
    pixels = _pixels([source for source in values.tolist() if source is not None], options, keep=True)
    return np.stack([np.bincount(pixels[:, one].ravel(), minlength=256) for one in range(pixels.shape[1])])


def _moments(brightness: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation of pixels / 255, from exact sums; 0 and 1 of none, and deviation 1 of equal ones."""
    counts: list[int] = brightness.tolist()
    n = sum(counts)
    if not n:
        return 0.0, 1.0
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    deviation = math.sqrt((n * squares - total * total) / (n * n)) / 255
    return total / (255 * n), deviation or 1.0
