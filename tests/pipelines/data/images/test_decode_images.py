"""Images of all kinds become arrays of one shape, or are refused with the file's name.

Covers: `pipelines/data/images/image_options.py`
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.config.pipeline_errors import DataError
from pipelines.data.images.decode_images import decode_images
from pipelines.data.images.image_options import ImageInputs, ImageOptions
from pipelines.data.images.image_sources import ImageSource


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def sources(*images: bytes) -> list[ImageSource]:
    return [ImageSource(f"{number}.png", "", data=data) for number, data in enumerate(images)]


def one(data: bytes, **options: Any) -> np.ndarray:
    return decode_images(sources(data), ImageOptions(**options))[0]


PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


def test_pixels_come_through_unchanged() -> None:
    data = encoded(Image.fromarray(PIXELS))
    np.testing.assert_array_equal(one(data), PIXELS.transpose(2, 0, 1))
    grey = Image.fromarray(PIXELS[:, :, 0])
    np.testing.assert_array_equal(one(encoded(grey)), PIXELS[None, :, :, 0])
    np.testing.assert_array_equal(one(encoded(grey), channels="rgb"), np.stack([PIXELS[:, :, 0]] * 3))
    assert one(data, channels="grey").shape == (1, 2, 3)
    assert decode_images([], ImageOptions((4, 5), "grey")).shape == (0, 1, 4, 5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_becomes_grey_and_rgb(mode: str) -> None:
    """Half black, half white: the same in all modes."""
    levels = np.repeat([[0, 65535 if mode == "I;16" else 255]], 2, axis=0)
    image = Image.fromarray(levels.astype(np.uint16 if mode == "I;16" else np.uint8))
    data = encoded(image if mode == "I;16" else image.convert(mode))
    np.testing.assert_array_equal(one(data, channels="rgb"), np.full((3, 2, 2), [0, 255]))
    np.testing.assert_array_equal(one(data, channels="grey"), np.full((1, 2, 2), [0, 255]))


def test_transparent_parts_become_white() -> None:
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    image.putpixel((1, 0), (10, 20, 30, 0))
    assert one(encoded(image)).tolist() == [[[10, 255]], [[20, 255]], [[30, 255]]]


def test_cmyk_of_a_jpeg_becomes_rgb() -> None:
    found = one(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert found.shape == (3, 8, 8) and found[0].min() > 240 and found[1:].max() < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_the_camera_is_honoured(orientation: int) -> None:
    """Upright, the image is dark above and bright below, and is 8 wide and 16 high."""
    upright = np.repeat([[0]] * 8 + [[255]] * 8, 8, axis=1).astype(np.uint8)
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright), 7: np.rot90(upright.T, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(turned)), "JPEG", exif=exif, quality=95)
    found = one(data)
    assert found.shape == (1, 16, 8)
    assert found[0, :6].max() < 30 and found[0, 10:].min() > 225
    assert one(data, size=(4, 2)).shape == (1, 4, 2)


def test_other_proportions_are_cut_distorted_or_padded() -> None:
    wide = Image.new("L", (40, 20), 100)
    wide.paste(200, (0, 0, 8, 20))
    data = encoded(wide)
    assert (one(data, size=(10, 10))[0] == 100).all()  # the bright edge is cut off
    assert one(data, size=(10, 10), resize="stretch")[0, :, 0].tolist() == [200] * 10
    padded = one(data, size=(10, 10), resize="pad")[0]
    assert padded[0].max() == 0 and padded[5, 0] == 200 and padded[5, 9] == 100


def test_a_large_jpeg_is_like_its_png() -> None:
    """Decoding at a part of the size first changes little."""
    x, y = np.meshgrid(np.arange(640), np.arange(480))
    image = Image.fromarray(np.stack([x // 3, y // 2, (x + y) // 5], axis=2).astype(np.uint8))
    options = {"size": (32, 32)}
    small, exact = one(encoded(image, "JPEG", quality=95), **options), one(encoded(image), **options)
    assert np.abs(small.astype(int) - exact).max() <= 4


def test_mixed_images_are_refused_with_both_names() -> None:
    grey, colour = encoded(Image.new("L", (4, 4))), encoded(Image.new("RGB", (4, 4)))
    with pytest.raises(DataError, match=r"^2\.png: is rgb, but 0\.png is grey: set dataset\.channels: grey or rgb"):
        decode_images(sources(grey, grey, colour), ImageOptions())
    tall = encoded(Image.new("L", (4, 6)))
    with pytest.raises(DataError, match=r"^1\.png: is 6x4 \(height x width\), but 0\.png 4x4: set dataset\.size"):
        decode_images(sources(grey, tall), ImageOptions())
    mixed = decode_images(sources(grey, colour, tall), ImageOptions((4, 4), "rgb"))
    assert mixed.shape == (3, 3, 4, 4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"hello", "is no PNG or JPEG image: remove it, or convert it"),
        (encoded(Image.new("L", (4, 4)), "GIF"), "is no PNG or JPEG image"),
        (encoded(Image.fromarray(PIXELS))[:-30], "the image is broken: .*Replace it or remove it"),
        (encoded(Image.new("RGB", (64, 64)), "JPEG")[:-200], "the image is broken"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, words: str) -> None:
    whole = encoded(Image.fromarray(PIXELS))
    with pytest.raises(DataError, match=rf"^0\.png: {words}"):
        decode_images(sources(data), ImageOptions())
    with pytest.raises(DataError, match=rf"^1\.png: {words}"):  # of several the first
        decode_images(sources(whole, data, whole, data), ImageOptions())


@settings(max_examples=150)
@given(st.sampled_from(["PNG", "JPEG"]), st.data())
def test_damage_never_gives_another_kind_of_error(form: str, data: st.DataObject) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    damaged = bytearray(encoded(Image.fromarray(noise), form))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        found = decode_images(sources(bytes(cut)), ImageOptions((4, 4), "rgb"))
    except DataError as error:
        assert str(error).startswith("0.png: ")
    else:
        assert found.shape == (1, 3, 4, 4)


def test_options_as_a_file_and_a_model_have_them() -> None:
    assert ImageOptions.of(32, "rgb", "pad") == ImageOptions((32, 32), "rgb", "pad")
    assert ImageOptions.of([4, 6], "auto", "crop").size == (4, 6)
    assert ImageInputs.of((1, 4, 6), "crop", "path") == ImageInputs(ImageOptions((4, 6), "grey"), "path")
    assert ImageInputs.of((12,), "crop", "path") is None
