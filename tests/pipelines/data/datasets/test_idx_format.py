"""The IDX format, whole, damaged and hostile."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.idx_format import decompress, parse


def idx(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """The IDX file of an array of bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.booleans())
def test_arrays_come_back(shape: list[int], zipped: bool) -> None:
    array = np.arange(int(np.prod(shape)), dtype=np.uint8).reshape(shape)
    content = idx(array)
    data = gzip.compress(content) if zipped else content
    assert np.array_equal(parse(decompress(data, len(content), "f"), "f"), array)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(200 << 20))
    tracemalloc.start()
    with pytest.raises(DataError, match="must hold 1000 bytes, holds more"):
        decompress(bomb, 1000, "images.gz")
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(bytes(1000), mtime=0)[:-12], "images.gz: .*cut off"),
        (
            gzip.compress(np.random.default_rng(0).bytes(1000), mtime=0)[:200],
            "images.gz: the file is cut off; fetch it again",
        ),
        (b"\x1f\x8bnonsense", "damaged gzip"),
        (bytes(999), "must hold 1000 bytes, holds 999"),
        (bytes(2000), "holds more"),
    ],
)
def test_damaged_files_are_named(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decompress(data, 1000, "images.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"<html>not found</html>", "not an IDX file"),
        (b"\0\0\x0d\x01" + bytes(4), "not an IDX file of unsigned bytes"),
        (b"\0\0\x08\x03\0\0", "cut off in its header"),
        (idx(np.zeros((2, 3)))[:-1], r"its header says \(2, 3\), which is 6 bytes, but 5 follow"),
        (idx(np.zeros((2, 3))) + b"\0", r"its header says \(2, 3\), which is 6 bytes, but 7 follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "but 0 follow"),
    ],
)
def test_other_content_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(content, "file")
