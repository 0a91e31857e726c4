"""Writes parquet files of any size, by row groups: `python -m tests.benchmarks.large_parquet FOLDER MEGABYTES`.

Each file is an experience; labels are learnable from the inputs, which differ a little from file to file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

WIDTH = 128
ROWS_A_GROUP = 16_384
CLASSES = 10
ROW_BYTES = WIDTH * 4 + 8


def write_large(folder: Path, megabytes: float, files: int = 3) -> int:
    """Files of about so many megabytes together.

    Returns:
        The number of rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = max(1, round(megabytes * 1e6 / ROW_BYTES / ROWS_A_GROUP / files))
    points = np.random.default_rng(0).normal(size=(CLASSES, WIDTH)).astype(np.float32)
    for number in range(files):
        draw = np.random.default_rng(number + 1)
        shift = draw.normal(0, 0.3, WIDTH).astype(np.float32)
        schema = pa.schema([("x", pa.list_(pa.float32(), WIDTH)), ("label", pa.int64())])
        with parquet.ParquetWriter(folder / f"{number:03}.parquet", schema, use_dictionary=False) as writer:
            for _ in range(groups):
                labels = draw.integers(0, CLASSES, ROWS_A_GROUP)
                inputs = points[labels] + shift + draw.standard_normal((ROWS_A_GROUP, WIDTH), dtype=np.float32)
                column = pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), WIDTH)
                writer.write_table(pa.table([column, pa.array(labels)], schema=schema), row_group_size=ROWS_A_GROUP)
    return files * groups * ROWS_A_GROUP


if __name__ == "__main__":
    print(f"{write_large(Path(sys.argv[1]), float(sys.argv[2])):,} rows")
