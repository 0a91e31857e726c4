"""Decodes PNG and JPEG images, in threads: Pillow lets other threads run while it decodes and resizes."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.images.image_options import ImageOptions
from pipelines.data.images.image_sources import ImageSource

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES: dict[Literal["grey", "rgb"], str] = {"grey": "L", "rgb": "RGB"}
_GREY = ("1", "L", "LA", "I", "F")
_AT_ONCE_REMOTE = 16
"""Images of S3 that are read at a time: waiting takes longer than decoding."""


def decode_images(sources: Sequence[ImageSource], options: ImageOptions) -> NDArray[np.uint8]:
    """Images as (n, channels, height, width), upright as their EXIF orientation says.

    Transparent parts become white, and 16 bits 8.

    Raises:
        DataError: an image is broken, no PNG or JPEG file, or of other channels or another size than the first where
            the options do not say to which; of several the first one. The message names the file.
    """
    if not sources:
        height, width = options.size or (0, 0)
        return np.zeros((0, 1 if options.channels == "grey" else 3, height, width), dtype=np.uint8)
    first, rest = sources[0], sources[1:]
    fixed, array = _first(first, options)
    found = np.empty((len(sources), *array.shape), dtype=np.uint8)
    found[0] = array

    def fill(place: int) -> None:
        found[place + 1] = _decoded(rest[place], fixed, options, first)

    remote = any(source.location is not None and source.location.remote for source in sources[:1])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(_AT_ONCE_REMOTE if remote else cores, "decode")
    try:
        for _ in pool.map(fill, range(len(rest))):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _first(source: ImageSource, options: ImageOptions) -> tuple[ImageOptions, NDArray[np.uint8]]:
    """The options with size and channels of the first image where they leave them open, and that image."""
    image = _opened(source, options)
    channels = _kind(image) if options.channels == "auto" else options.channels
    upright = _upright(image, source)
    fixed = replace(options, channels=channels, size=options.size or (upright.height, upright.width))
    return fixed, _array(upright, fixed)


def _decoded(source: ImageSource, fixed: ImageOptions, options: ImageOptions, first: ImageSource) -> NDArray[np.uint8]:
    """An image (channels, height, width)."""
    image = _opened(source, options)
    if options.channels == "auto" and _kind(image) != fixed.channels:
        raise DataError(
            f"{source.name}: is {_kind(image)}, but {first.name} is {fixed.channels}: set dataset.channels: grey or "
            "rgb, to which all images are brought"
        )
    upright = _upright(image, source)
    size = upright.height, upright.width
    if options.size is None and size != fixed.size:
        height, width = fixed.size or size
        raise DataError(
            f"{source.name}: is {size[0]}x{size[1]} (height x width), but {first.name} {height}x{width}: set "
            "dataset.size, to which all images are brought"
        )
    return _array(upright, fixed)


def _opened(source: ImageSource, options: ImageOptions) -> Image:
    """An image of which only the header has been read."""
    from PIL import Image, UnidentifiedImageError

    data = source.read()
    if not data:
        raise DataError(f"{source.name}: the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        if options.size is not None:
            # A large JPEG is decoded at a half, a quarter or an eighth of its size, if that is twice what is needed.
            image.draft(image.mode, (2 * max(options.size), 2 * max(options.size)))
    except UnidentifiedImageError:
        raise DataError(f"{source.name}: is no PNG or JPEG image: remove it, or convert it") from None
    except Exception as error:  # Pillow's readers raise errors of many kinds
        raise _broken(source, error) from error
    return image


def _upright(image: Image, source: ImageSource) -> Image:
    """The image decoded, and turned as its camera says."""
    from PIL import ImageOps

    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except Exception as error:
        raise _broken(source, error) from error


def _broken(source: ImageSource, error: Exception) -> DataError:
    reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    return DataError(f"{source.name}: the image is broken: {reason}. Replace it or remove it")


def _kind(image: Image) -> Literal["grey", "rgb"]:
    return "grey" if image.mode in _GREY or image.mode.startswith("I;16") else "rgb"


def _array(image: Image, options: ImageOptions) -> NDArray[np.uint8]:
    """(channels, height, width) of a size and channels."""
    from PIL import Image, ImageOps

    assert options.size is not None and options.channels != "auto"
    image = _plain(image).convert(_MODES[options.channels])
    size = options.size[1], options.size[0]
    if image.size != size:
        method = Image.Resampling.BILINEAR
        make: Any = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}[options.resize]
        image = make(image, size, method)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _plain(image: Image) -> Image:
    """An image of 8 bits a channel, without transparency."""
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), coloured)
    return image
