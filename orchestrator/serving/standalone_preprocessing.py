"""From rows of a table to a model's inputs, without Everlearn: exported models bring this file along.

    document = json.load(open("preprocessing.json"))
    inputs = inputs_of([{"amount": 3.5, "country": "DE"}], document)

It needs numpy, and Pillow where there are columns of images, and does what `pipelines.data.features` does; the tests
compare both.
"""

from __future__ import annotations

import io
import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

import numpy as np


def inputs_of(rows: list[dict[str, Any]], document: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The inputs of rows, (n, d) float32. A value that is None, or not in its row, is missing.

    Args:
        rows: a dictionary for each row, from the names of columns to values: numbers for numeric columns, any value for
            categorical ones, datetimes or ISO 8601 text for timestamps (UTC where they say no zone), text for texts,
            the path or the bytes of a PNG or JPEG file for images. Of a table of pandas: `to_dict("records")`.
        document: of preprocessing.json.

    Raises:
        TypeError: the rows are something else.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        names = ", ".join(f"{column['name']!r}: ..." for column in document[:2])
        raise TypeError(
            f"rows must be a list with a dictionary for each row, such as [{{{names}}}], not {type(rows).__name__}"
            + (f" of {type(rows[0]).__name__}" if isinstance(rows, list | tuple) and rows else "")
            + '; of a table of pandas: table.to_dict("records")'
        )
    parts = [_COLUMNS[column["kind"]]([row.get(column["name"]) for row in rows], column) for column in document]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _numeric(values: list[Any], column: dict[str, Any]) -> Any:
    known = np.array([math.nan if value is None else float(value) for value in values])
    missing = np.isnan(known)
    standard = (np.where(missing, column["mean"], known) - column["mean"]) / column["scale"]
    return np.stack([standard, missing], axis=1)


def _categorical(values: list[Any], column: dict[str, Any]) -> Any:
    codes = {value: place + 2 for place, value in enumerate(column["values"])}
    found = [1 if value is None or value != value else codes.get(_text(value), 0) for value in values]
    return np.array(found, dtype=np.float64)[:, None]


def _timestamp(values: list[Any], column: dict[str, Any]) -> Any:
    seconds = np.array([math.nan if value is None else _seconds(value) for value in values])
    missing = np.isnan(seconds)
    seconds = np.where(missing, 0.0, seconds)
    days = np.floor(seconds / 86_400).astype(np.int64)
    minutes = np.clip(np.floor((seconds - days * 86_400) / 60).astype(np.int64), 0, 1439)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    distance = (seconds - column["mean"]) / column["scale"]
    elapsed = distance / np.sqrt(1 + np.abs(distance))
    cycles = [_cycle(minutes, 1440), _cycle((days + 3) % 7, 7), _cycle(months, 12)]
    found = np.concatenate([*cycles, elapsed[:, None]], axis=1)
    found[missing] = 0.0
    return np.concatenate([found, missing[:, None]], axis=1)


_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def _words(values: list[Any], column: dict[str, Any]) -> Any:
    known = {word: place + 2 for place, word in enumerate(column["values"])}
    found = np.zeros((len(values), column["length"]))
    for row, value in enumerate(values):
        words = _WORD.findall(unicodedata.normalize("NFKC", value or "").casefold())
        codes = [known.get(word, 1) for word in words[: column["length"]]]
        found[row, : len(codes)] = codes
    return found


def _images(values: list[Any], column: dict[str, Any]) -> Any:
    mean, scale = (np.array(column[key])[:, None, None] for key in ("mean", "scale"))
    found = np.zeros((len(values), len(mean) * column["height"] * column["width"] + 1), dtype=np.float32)
    for row, value in enumerate(values):
        if value is None:
            found[row, -1] = 1
        else:
            pixels = _pixels(value, column["height"], column["width"], "L" if len(mean) == 1 else "RGB")
            found[row, :-1] = ((pixels / 255 - mean) / scale).ravel()
    return found


def _pixels(value: Any, height: int, width: int, mode: str) -> Any:
    """(channels, height, width) of 0 to 255: upright, without transparency, cut at its longer side."""
    from PIL import Image, ImageOps

    image: Any = Image.open(io.BytesIO(value) if isinstance(value, bytes) else value, formats=("PNG", "JPEG"))
    # A large JPEG is decoded at a fraction of its size.
    image.draft(image.mode, (2 * max(height, width), 2 * max(height, width)))
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    elif image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert(mode)
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


_COLUMNS = {
    "numeric": _numeric,
    "categorical": _categorical,
    "timestamp": _timestamp,
    "text": _words,
    "image": _images,
}


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _seconds(value: Any) -> float:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _cycle(positions: Any, length: int) -> Any:
    angles = [2 * math.pi * position / length for position in range(length)]
    return np.array([[round(math.sin(angle), 9), round(math.cos(angle), 9)] for angle in angles])[positions]
