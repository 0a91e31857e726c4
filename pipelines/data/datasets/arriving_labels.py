"""Reading files of labels that come later than their inputs: an id and its label in each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.config.sections.source_section import SUFFIXES, SourceSpec
from pipelines.data.datasets.arriving_files import FileBytes
from pipelines.data.datasets.arrow_columns import check_columns, values
from pipelines.data.datasets.csv_files import read_csv
from pipelines.data.datasets.jsonl_files import read_jsonl
from pipelines.data.datasets.labels import id_numbers, plain_labels
from pipelines.data.datasets.npz_reader import NpzReader
from pipelines.data.datasets.parquet_reader import read_parquet

LABEL_SUFFIXES = tuple(ending for endings in SUFFIXES.values() for ending in endings)


@dataclass(frozen=True)
class IdLabels:
    """What a file of labels says.

    Attributes:
        rows: how many it has.
        ids: the different ones, as numbers, (n,).
        labels: of each, whole numbers or text, (n,).
    """

    rows: int
    ids: NDArray[np.int64]
    labels: NDArray[Any]


def read_labels(source: SourceSpec, key: str, data: bytes) -> IdLabels:
    """Read a file of labels, of the format that its ending says.

    Raises:
        DataError: it cannot be read, has no rows, lacks a value, or gives one id different labels.
    """
    ids, labels = _columns(source, FileBytes(key, data))
    if len(ids) != len(labels):
        raise DataError(f"{key}: {len(ids)} ids, but {len(labels)} labels")
    if not len(ids):
        raise DataError(f"{key}: it has no rows")
    plain = plain_labels(labels, key)
    if ids.ndim == 1 and ids.dtype.kind in "iuUSO":  # others are refused by id_numbers
        different, first, places = np.unique(ids, return_index=True, return_inverse=True)
        wrong = np.flatnonzero(plain != plain[first][places])
        if len(wrong):
            row = int(wrong[0])
            other = int(first[places[row]])
            raise DataError(
                f"{key}: id {ids.tolist()[row]!r} has the label {plain.tolist()[other]!r} in row {other} and "
                f"{plain.tolist()[row]!r} in row {row}: an id has one label"
            )
        return IdLabels(len(ids), id_numbers(different, key), plain[first])
    return IdLabels(len(ids), id_numbers(ids, key), plain)


def _columns(source: SourceSpec, file: FileBytes) -> tuple[NDArray[Any], NDArray[Any]]:
    """Its ids and its labels."""
    assert source.id is not None
    if file.path.endswith(SUFFIXES["npz"]):
        table, test = NpzReader(source.id, source.label or "y", source.id).read(file)
        if test is not None or table.ids is None:
            raise DataError(f"{file.path}: has no array '{source.id}' of the ids")
        return table.ids, table.labels
    names = [source.id, source.label or "label"]
    if file.path.endswith(SUFFIXES["parquet"]):
        rows = read_parquet(file)
    elif file.path.endswith(SUFFIXES["jsonl"]):
        rows = read_jsonl(file)
    else:
        rows = read_csv(file, source.delimiter)
    for name, key in zip(names, ("id", "label"), strict=True):
        check_columns([name], rows.column_names, file, key)
    found = [values(rows[name], name, file) for name in names]
    return found[0], found[1]
