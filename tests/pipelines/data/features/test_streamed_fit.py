"""A preprocessing that is fitted part by part is the one that is fitted on all rows at once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipelines.data.features.feature_columns import FeatureOptions, feature_columns
from pipelines.data.features.preprocessing import Preprocessing
from pipelines.data.features.streamed_fit import fit_streamed

N = 41


def png(value: int) -> bytes:
    held = io.BytesIO()
    Image.fromarray(np.full((3, 3), value, dtype=np.uint8)).save(held, "PNG")
    return held.getvalue()


def table() -> pa.Table:
    draw = np.random.default_rng(0)
    missing = draw.random(N) < 0.2
    words = ["red", "Blue", "green tea", None]
    return pa.table(
        {
            "x": pa.array(1e6 + draw.normal(size=N), mask=missing),
            "same": np.full(N, 0.1),
            "none": pa.nulls(N, pa.float64()),
            "kind": pa.array([words[i] for i in draw.integers(0, 4, N)]),
            "at": pa.array([datetime(2024, 1, 1) + timedelta(hours=int(h)) for h in draw.integers(0, 999, N)]),
            "note": pa.array([" ".join(["a", "b", "c"][: i % 4]) for i in range(N)]),
            "icon": pa.array([png(i) for i in range(N)]),
        }
    )


@pytest.mark.parametrize("size", [1, 6, N])
def test_any_parts_give_the_same(size: int) -> None:
    whole, options = table(), FeatureOptions(text=["note"], image=["icon"], size=2, vocabulary=2, words=2, length=3)
    columns = feature_columns(options, {field.name: field.type for field in whole.schema}, (), "t")
    rows = np.flatnonzero(np.arange(N) % 5 != 2)

    def parts() -> Iterator[tuple[Any, Any, str, int]]:
        for start in range(0, N, size):
            piece = whole.slice(start, size)
            yield piece, np.flatnonzero((np.arange(start, start + len(piece)) % 5) != 2), "t", start

    assert fit_streamed(columns, parts, options) == Preprocessing.fit(columns, whole, rows, options, "t")
