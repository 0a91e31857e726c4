"""Reads a table in any of the formats, by its suffix."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.csv_files import SUFFIXES as CSV
from pipelines.data.datasets.csv_files import read_csv
from pipelines.data.datasets.jsonl_files import SUFFIXES as JSONL
from pipelines.data.datasets.jsonl_files import read_jsonl
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_reader import read_parquet

TABLES = (*CSV, *JSONL, ".parquet")


def read_rows(location: Location, *, texts: Collection[str] = (), only: Sequence[str] | None = None) -> Any:
    """All rows of a table as an arrow table.

    Args:
        texts: columns that are read as the text that the file has.
        only: the columns to read, of which those are left out that the file lacks; None: all.

    Raises:
        DataError: it is no table, or not of the format that its name says.
    """
    name = location.name.lower()
    if name.endswith(CSV):
        return read_csv(location, texts=texts, only=only)
    if name.endswith(JSONL):
        return read_jsonl(location, texts=texts, only=only)
    if name.endswith(".parquet"):
        return read_parquet(location, texts=texts, only=only)
    raise DataError(f"{location.path}: is no table: {', '.join(TABLES)}")
