"""Where the channels of an image are: first, as torch takes them, or last, as image files are read."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError

Channels = Literal["first", "last"]

_DEPTHS = (1, 3, 4)
"""Grey, colour, and colour with transparency."""

_REMEDY = (
    "Models take channels first: set dataset.channels: last, or transpose them in your own function: "
    "x.transpose(0, 3, 1, 2)"
)


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether the shape of an input looks like (height, width, channels), as (32, 32, 3) does, but not (3, 32, 32)."""
    return len(shape) == 3 and shape[2] in _DEPTHS and shape[0] not in _DEPTHS and min(shape[:2]) > shape[2]


def refuse_channels_last(shape: tuple[int, ...], where: str) -> None:
    """Refuse inputs whose height would be taken for channels.

    Raises:
        DataError: they look like images with their channels last.
    """
    if channels_last(shape):
        channels, height, width = shape
        read = f"would be read as {channels} channels of {height}x{width}"
        raise DataError(f"{where}: inputs of {in_words(shape)} {read}. {_REMEDY}")


def layout_warnings(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """A warning about inputs that look like images with their channels last."""
    if not channels_last(shape):
        return ()
    return (f"{name}: inputs of {in_words(shape)} look like images with their channels last. {_REMEDY}",)


def in_words(shape: tuple[int, ...]) -> str:
    """(32, 32, 3) as "32x32x3"."""
    return "x".join(map(str, shape))


def channels_first(inputs: NDArray[Any], where: str) -> NDArray[Any]:
    """Inputs (n, ..., channels) as (n, channels, ...), in one piece of memory.

    Raises:
        DataError: an input has fewer than two dimensions.
    """
    if inputs.ndim < 3:
        raise DataError(f"{where}: dataset.channels: an input of shape {inputs.shape[1:]} has no channels")
    return np.ascontiguousarray(np.moveaxis(inputs, -1, 1))
