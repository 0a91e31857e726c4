"""Columns of an arrow table as inputs, labels and ids: what parquet, CSV and JSON files have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.held_out_part import TestPart, has_value, hash_of_ids
from pipelines.data.datasets.labels import id_numbers
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.missing_name import missing_name
from pipelines.data.datasets.tables import Table
from pipelines.data.datasets.time_periods import Period, TimePeriods, period_names

PANDAS_INDEX = re.compile(r"__index_level_\d+__")
"""Columns in which pandas stores an index without a name."""
SIDES = ("train", "test")
"""What training and test rows are called where a column of the rows divides them."""


@dataclass(frozen=True)
class Columns:
    """Which columns are meant.

    Attributes:
        inputs: columns of the inputs: numbers, or one column of lists; None: all but the label and the id.
        label: column of the labels, or several.
        id: column; without ids: None.
        time: a column of times, which is no input of numbers and may be a feature; None: there is none.
        by: a column by whose values rows are divided into experiences, and no input; None: there is none.
        mark: a column by which rows are divided into training and test rows; None: there is none.
        timed: it has times, and may be a feature.
        period: rows are divided by the periods of the times in `by`, which may be a feature; None: by its values.
        part: rows are divided into training and test rows by the column `mark` or by their ids, and into nothing else;
            None: they are not.
    """

    inputs: tuple[str, ...] | None
    label: str | tuple[str, ...]
    id: str | None
    time: str | None = None
    by: str | None = None
    mark: str | None = None
    timed: bool = False
    period: Period | None = None
    part: TestPart | None = None

    @classmethod
    def of(
        cls,
        inputs: str | Sequence[str] | None,
        label: str | Sequence[str],
        id: str | None,  # noqa: A002
        by: str | TimePeriods | None = None,
        time: str | None = None,
    ) -> Columns:
        """As a pipeline file names them.

        Raises:
            DataError: periods of time without a column of times.
        """
        names = (inputs,) if isinstance(inputs, str) else None if inputs is None else tuple(inputs)
        made = cls(names, label if isinstance(label, str) else tuple(label), id, time)
        if not isinstance(by, TimePeriods):
            return replace(made, by=by)
        if time is None:
            raise DataError(
                f"stream.dataset.by: {{time: {by.time}}} needs the column of the times: name it, dataset.time: COLUMN"
            )
        return replace(made, by=time, period=by.time)

    def sided(self, part: TestPart) -> Columns:
        """The same, with rows that are divided into training and test rows block by block.

        Raises:
            DataError: a block does not show which are which.
        """
        given = "id_hash" if part.id_hash else "column" if part.column else "time"
        if given == "time":
            raise DataError(
                "stream.lanes: the last rows in time are known only when all are read: leave out dataset.test.time. A "
                "column that says which rows are for testing can be used: dataset.test: {column: NAME, value: VALUE}"
            )
        if given == "id_hash" and self.id is None:
            raise DataError(
                "stream.lanes: dataset.test.id_hash needs the column of the ids here: name it, dataset.id: COLUMN"
            )
        if self.by is not None:
            raise DataError(
                f"stream.lanes: rows are divided by one column: leave out dataset.by or dataset.test.{given}"
            )
        return replace(self, mark=part.column, part=part)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The columns of the labels."""
        return (self.label,) if isinstance(self.label, str) else self.label

    def input_names(self, names: Sequence[str], location: Location) -> tuple[str, ...]:
        """The columns of the inputs, of the columns `names` of a file.

        Raises:
            DataError: there are none.
        """
        others = (*self.label_names, self.id, self.time, self.by, self.mark)
        inputs = self.inputs if self.inputs is not None else tuple(name for name in names if name not in others)
        if not inputs:
            raise DataError(f"{location.path}: has no columns for the inputs besides {', '.join(names)}")
        return inputs

    def labels(self, table: Any, location: Location) -> NDArray[Any]:
        """The labels of an arrow table: (n,) as they are in the file; of several columns, or one of lists, (n, k).

        Raises:
            DataError: values are missing, or one of several columns has no numbers.
        """
        import pyarrow

        if isinstance(self.label, str) and not pyarrow.types.is_nested(table[self.label].type):
            return values(table[self.label], self.label, location)
        names = self.label_names
        for name in names:
            if is_text(table[name].type):
                raise DataError(
                    f"{location.path}: label column '{name}' is not numbers but {table[name].type}{_first(table[name])}"
                )
        return together([numbers(table[name], name, location) for name in names], names, location)

    def wanted(self, inputs: Sequence[str], names: Sequence[str], location: Location) -> list[str]:
        """All columns to read.

        Raises:
            DataError: the file, whose columns are `names`, lacks one.
        """
        check_columns(inputs, names, location, "inputs")
        check_columns(self.label_names, names, location, "label")
        further = {"id": self.id, "time": self.time} if self.period else {"id": self.id, "by": self.by}
        further["test"] = None if self.mark in inputs else self.mark
        for key, name in further.items():
            check_columns([] if name is None else [name], names, location, key)
        return list(
            dict.fromkeys([*inputs, *self.label_names, *(name for name in further.values() if name is not None)])
        )

    def groups(self, table: Any, location: Location) -> NDArray[Any] | None:
        """The column by which the rows are divided, (n,), or the `SIDES` of the rows; None: they are not divided.

        Raises as `values`.
        """
        if self.part is not None:
            return np.where(self._for_testing(table, location, self.part), *reversed(SIDES))
        if self.by is None:
            return None
        check_columns([self.by], table.column_names, location, "time" if self.period else "by")
        if self.period is None:
            return values(table[self.by], self.by, location)
        check_filled(table[self.by], self.by, location)
        return period_names(_moments(table[self.by], "timestamp", self.by, location), self.period)

    def _for_testing(self, table: Any, location: Location, part: TestPart) -> NDArray[np.bool_]:
        if part.id_hash is not None:
            assert self.id is not None
            return hash_of_ids(id_numbers(values(table[self.id], self.id, location), location.path)) < part.id_hash
        marks = self.marks(table, location)
        assert marks is not None
        return has_value(marks, part.value)

    def marks(self, table: Any, location: Location) -> NDArray[Any] | None:
        """The column by which training and test rows are divided, (n,); times in seconds. Raises as `values`."""
        if self.mark is None:
            return None
        check_columns([self.mark], table.column_names, location, "test")
        column = table[self.mark]
        check_filled(column, self.mark, location)
        if not self.timed:
            return values(column, self.mark, location)
        import pyarrow

        numeric = pyarrow.types.is_integer(column.type) or pyarrow.types.is_floating(column.type)
        return _moments(column, "numeric" if numeric else "timestamp", self.mark, location)

    def table(self, table: Any, inputs: Sequence[str], location: Location) -> Table:
        """The rows of an arrow table.

        Raises:
            DataError: values are missing, or inputs are no numbers.
        """
        ids = None if self.id is None else values(table[self.id], self.id, location)
        labels = self.labels(table, location)
        columns = [numbers(table[name], name, location) for name in inputs]
        made, groups = together(columns, inputs, location), self.groups(table, location)
        return Table(made, labels, ids, tuple(inputs), groups, self.marks(table, location))


def label_table(columns: Columns, rows: Callable[..., Any], location: Location) -> Any:
    """The columns of the labels of a file, and no others, as an arrow table.

    Args:
        rows: reads a file, as `pipelines.data.features.feature_reader.ArrowFile`.

    Raises:
        DataError: it lacks one.
    """
    names = columns.label_names
    table = rows(location, only=names)
    if any(name not in table.column_names for name in names):
        # All names, for the message.
        check_columns(names, rows(location).column_names, location, "label")
    return table


def check_columns(wanted: Sequence[str], names: Sequence[str], location: Location, key: str) -> None:
    """Check that a file has the columns that the option `key` names.

    Raises:
        DataError: it lacks one.
    """
    for name in wanted:
        if name not in names:
            raise DataError(missing_name(location.path, "column", name, names, key, location.section))


def values(column: Any, name: str, location: Location) -> NDArray[Any]:
    """A column of numbers or text; dates and times become text."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pyarrow.types.is_temporal(column.type):
        column = column.cast(pyarrow.string())
    check_filled(column, name, location)
    array: NDArray[Any] = column.to_numpy()
    return array


def numbers(column: Any, name: str, location: Location) -> NDArray[Any]:
    """A column of numbers, (n,), or of lists of equal length, (n, k, ...)."""
    import pyarrow

    # To combine even one chunk copies it.
    column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    check_filled(column, name, location, "; dataset.features takes missing values of inputs")
    shape: list[int] = [len(column)]
    while (
        pyarrow.types.is_list(column.type)
        or pyarrow.types.is_large_list(column.type)
        or (pyarrow.types.is_fixed_size_list(column.type))
    ):
        inner = column.flatten()
        check_filled(inner, name, location)
        length = len(inner) // len(column) if len(column) else 0
        ragged = len(column) and not pyarrow.types.is_fixed_size_list(column.type)
        if ragged and not (column.value_lengths().to_numpy() == length).all():
            raise DataError(f"{location.path}: the lists in column '{name}' differ in length")
        shape.append(length)
        column = inner
    array: NDArray[Any] = column.to_numpy(zero_copy_only=False).reshape(shape)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{location.path}: column '{name}' is not numbers but {column.type}{_first(column)}; name the inputs: [...]"
        )
    return array


def _moments(column: Any, kind: Literal["numeric", "timestamp"], name: str, location: Location) -> NDArray[np.float64]:
    """A column of times, (n,): numbers, or seconds since 1970, UTC. Raises DataError: a value is of another kind."""
    from pipelines.data.features.raw_columns import Place, raw_values

    return raw_values(column, kind, Place(location.path, name))


def check_filled(column: Any, name: str, location: Location, remedy: str = "") -> None:
    """Refuse a column with missing values. Raises DataError, whose message names the first such row.

    Args:
        remedy: what else can be done.
    """
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(
            f"{location.path}: column '{name}' has no value in row {row} ({column.null_count} such rows). "
            f"Fill them in, or leave the rows out{remedy}"
        )


def is_text(kind: Any) -> bool:
    """Whether an arrow type is one of texts."""
    import pyarrow

    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _first(column: Any) -> str:
    """The first value of a column of text, for messages."""
    return f": {column[0].as_py()[:50]!r} in row 0" if is_text(column.type) and len(column) else ""


def together(columns: list[NDArray[Any]], names: Sequence[str], location: Location) -> NDArray[Any]:
    if len(columns) == 1:
        return columns[0] if columns[0].ndim > 1 else columns[0][:, None]
    for name, column in zip(names, columns, strict=True):
        if column.ndim > 1:
            raise DataError(
                f"{location.path}: column '{name}' holds lists: it must be the only input; name it in inputs"
            )
    return np.stack(columns, axis=1)
