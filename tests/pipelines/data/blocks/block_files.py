"""Small parquet files with ragged row groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

WIDTH = 6


def rows(n: int, seed: int, classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Inputs (n, WIDTH) around one point for each class, and labels (n,)."""
    points = np.random.default_rng(99).normal(size=(classes, WIDTH))
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, n)
    return (points[labels] + draw.normal(0, 0.7, (n, WIDTH))).astype(np.float32), labels


def write(
    path: Path,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: Sequence[int],
    ids: Sequence[object] | None = None,
) -> Path:
    """A file whose row groups have `groups` rows each."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), inputs.shape[1])
    columns = {"x": lists, "label": pa.array(labels)} | ({} if ids is None else {"who": pa.array(ids)})
    table = pa.table(columns)
    assert sum(groups) == len(labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with parquet.ParquetWriter(path, table.schema, use_dictionary=False) as writer:
        at = 0
        for size in groups:
            writer.write_table(table.slice(at, size), row_group_size=size)
            at += size
    return path


def stream_of_files(folder: Path, experiences: int = 3, groups: Sequence[int] = (9, 4, 13, 1, 8, 5, 10)) -> Path:
    """A folder with a file for each experience."""
    for number in range(experiences):
        write(folder / f"{number}.parquet", *rows(sum(groups), number), groups)
    return folder
