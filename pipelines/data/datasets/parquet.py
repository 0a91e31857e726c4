"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.init_formats import FileFormat
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import Table, TableFiles
from pipelines.data.detect_columns import parquet_columns

INIT_FORMAT = FileFormat((".parquet",), parquet_columns, table=True)


@dataclass(frozen=True)
class ParquetReader:
    """Columns by name.

    Attributes:
        inputs: columns of the inputs: numbers, or one column of lists; None: all but the label and the id.
        label, id: columns; without id: None.
    """

    inputs: tuple[str, ...] | None
    label: str
    id: str | None
    suffix: str = ".parquet"

    def read(self, location: Location) -> tuple[Table, Table | None]:
        with self._opened(location) as file:
            names = file.schema_arrow.names
            apart = (self.label, self.id)
            inputs = self.inputs if self.inputs is not None else tuple(name for name in names if name not in apart)
            if not inputs:
                raise DataError(f"{location.path}: has no columns for the inputs besides {', '.join(names)}")
            wanted = [*inputs, *(name for name in apart if name is not None)]
            self._check_columns(location, names, wanted)
            table = file.read(columns=wanted)
            ids = None if self.id is None else _values(table[self.id], self.id, location)
            labels = _values(table[self.label], self.label, location)
            columns = [_numbers(table[name], name, location) for name in inputs]
        return Table(_together(columns, inputs, location), labels, ids), None

    def labels(self, location: Location) -> NDArray[Any]:
        with self._opened(location) as file:
            self._check_columns(location, file.schema_arrow.names, [self.label])
            return _values(file.read(columns=[self.label])[self.label], self.label, location)

    @staticmethod
    def _check_columns(location: Location, names: Sequence[str], wanted: Sequence[str]) -> None:
        missing = [name for name in wanted if name not in names]
        if missing:
            raise DataError(f"{location.path}: has no column '{missing[0]}'; it has {', '.join(names[:20])}")

    @contextmanager
    def _opened(self, location: Location) -> Iterator[Any]:
        import pyarrow
        from pyarrow import parquet

        with location.open() as file:
            try:
                yield parquet.ParquetFile(file)
            except pyarrow.ArrowException as error:
                raise DataError(f"{location.path}: not a readable parquet file: {error}") from error


def _values(column: Any, name: str, location: Location) -> NDArray[Any]:
    """A column of numbers or text."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    _check_filled(column, name, location)
    array: NDArray[Any] = column.to_numpy()
    return array


def _numbers(column: Any, name: str, location: Location) -> NDArray[Any]:
    """A column of numbers, (n,), or of lists of equal length, (n, k, ...)."""
    import pyarrow

    column = column.combine_chunks()
    _check_filled(column, name, location)
    shape: list[int] = [len(column)]
    while (
        pyarrow.types.is_list(column.type)
        or pyarrow.types.is_large_list(column.type)
        or (pyarrow.types.is_fixed_size_list(column.type))
    ):
        inner = column.flatten()
        _check_filled(inner, name, location)
        length = len(inner) // len(column) if len(column) else 0
        lengths = column.value_lengths().to_numpy() if len(column) else np.zeros(0)
        if not (lengths == length).all():
            raise DataError(f"{location.path}: the lists in column '{name}' differ in length")
        shape.append(length)
        column = inner
    array: NDArray[Any] = column.to_numpy(zero_copy_only=False).reshape(shape)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{location.path}: column '{name}' is not numbers but {column.type}; name the inputs: [...]")
    return array


def _check_filled(column: Any, name: str, location: Location) -> None:
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f"{location.path}: column '{name}' has no value in row {row} ({column.null_count} such rows)")


def _together(columns: list[NDArray[Any]], names: Sequence[str], location: Location) -> NDArray[Any]:
    if len(columns) == 1:
        return columns[0] if columns[0].ndim > 1 else columns[0][:, None]
    for name, column in zip(names, columns, strict=True):
        if column.ndim > 1:
            raise DataError(
                f"{location.path}: column '{name}' holds lists: it must be the only input; name it in inputs"
            )
    return np.stack(columns, axis=1)


def load(
    path: str,
    *,
    test: str | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    inputs: str | Sequence[str] | None = None,
    label: str = "label",
    id: str | None = None,  # noqa: A002 (the option's name)
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
    shape: Sequence[Annotated[int, Field(ge=1)]] | None = None,
) -> Dataset | ExperienceDataset:
    """Parquet files, local or s3://: a file that is split by class, or a folder with one file per experience.

    Args:
        path: a .parquet file, or a folder of them, one for each experience, in the order of their names.
        test: the test rows: a file, or a folder with files of the same names. Without it, a fixed part of each class is
            held out for testing.
        test_fraction: share of each class that is held out for testing.
        inputs: columns of the inputs: numbers, or one column of lists; by default all but the label and the id.
        label: column of the labels.
        id: column of the ids, whole numbers or text; by default row numbers are the ids.
        classes: number of classes, or the labels in the order of the classes; by default found from all labels. Set it
            where more classes are to come: it decides the size of the model's head.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
    """
    names = (inputs,) if isinstance(inputs, str) else None if inputs is None else tuple(inputs)
    reader = ParquetReader(names, label, id)
    where = None if test is None else Location.of(test)
    options = TableFiles(
        reader, Location.of(path), where, test_fraction, classes, None if shape is None else tuple(shape)
    )
    return options.load("parquet")
