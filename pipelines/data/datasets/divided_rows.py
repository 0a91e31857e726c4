"""Files whose rows say themselves which are for testing: by the value of a column, or by the time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.held_out_part import TestPart, as_text, has_value
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.table_reader import FittingReader, Reader, Table

if TYPE_CHECKING:
    from pipelines.data.features.preprocessing import Preprocessing


def divided(reader: Reader, part: TestPart) -> Reader:
    """The reader, which divides its rows as `part` says: by a column or by the time.

    Raises:
        DataError: its rows have no columns by name.
    """
    columns = getattr(reader, "columns", None)
    if part.last is not None and part.time is None and columns is not None:
        if columns.time is None:
            last = f"{part.last:.0%}"
            raise DataError(
                f"stream.dataset.test: the last {last} need the column of the times: name it, dataset.time: COLUMN"
            )
        part = part.model_copy(update={"time": columns.time})
    name = part.column or part.time
    if columns is None or "columns" not in getattr(reader, "__dataclass_fields__", ()):
        raise DataError(f"stream.dataset.test: rows have no column '{name}' here: use id_hash, or files of test rows")
    marked: Any = replace(reader, columns=replace(columns, mark=name, timed=part.time is not None))  # type: ignore[type-var]
    return FittingDividedReader(marked, part) if isinstance(reader, FittingReader) else DividedReader(marked, part)


@dataclass(frozen=True)
class DividedReader:
    """A reader that gives training and test rows apart.

    Attributes:
        reader: gives the rows with the values of the column that divides them.
        part: which are for testing.
    """

    reader: Any
    part: TestPart

    @property
    def suffix(self) -> str | tuple[str, ...]:
        found: str | tuple[str, ...] = self.reader.suffix
        return found

    @property
    def columns(self) -> Any:
        """The columns that are meant."""
        return self.reader.columns

    def read(self, location: Location) -> tuple[Table, Table | None]:
        table, _ = self.reader.read(location)
        assert table.marks is not None
        chosen = np.zeros(len(table.labels), dtype=bool)
        groups = np.zeros(len(chosen)) if table.groups is None else table.groups
        for group in dict.fromkeys(groups.tolist()):
            rows = np.flatnonzero(groups == group)
            test = self._chosen(table.marks[rows])
            if test.all() or not test.any():
                where = location.path if table.groups is None else f"{location.path}: experience {group}"
                raise DataError(f"{where} has no {'training' if test.any() else 'test'} rows: {self._why(table.marks)}")
            chosen[rows] = test
        return _rows(table, ~chosen), _rows(table, chosen)

    def labels(self, location: Location) -> NDArray[Any]:
        found: NDArray[Any] = self.reader.labels(location)
        return found

    def _chosen(self, marks: NDArray[Any]) -> NDArray[np.bool_]:
        if self.part.column is not None:
            return has_value(marks, self.part.value)
        assert self.part.last is not None
        # Rows of one moment are on the same side.
        first = len(marks) - max(1, round(self.part.last * len(marks)))
        return np.asarray(marks >= np.sort(marks)[first])

    def _why(self, marks: NDArray[Any]) -> str:
        if self.part.column is None:
            return f"the last {self.part.last:.0%} by '{self.part.time}' are for testing, and all are of one moment"
        found = sorted({as_text(mark) for mark in marks.tolist()})
        return (
            f"those whose column '{self.part.column}' is {as_text(self.part.value)} are for testing, and it has "
            f"{', '.join(found[:8])}"
        )


@dataclass(frozen=True)
class FittingDividedReader(DividedReader):
    """The same of a reader whose inputs are made by a preprocessing, fitted on training rows."""

    @property
    def preprocessing(self) -> Preprocessing | None:
        found: Preprocessing | None = self.reader.preprocessing
        return found

    def fitted(self, location: Location, rows: NDArray[np.int64]) -> FittingDividedReader:
        """As `FittingReader.fitted`: rows count in the file, whichever side they are on."""
        return replace(self, reader=self.reader.fitted(location, rows))


def _rows(table: Table, chosen: NDArray[np.bool_]) -> Table:
    ids = None if table.ids is None else table.ids[chosen]
    groups = None if table.groups is None else table.groups[chosen]
    return replace(table, inputs=table.inputs[chosen], labels=table.labels[chosen], ids=ids, groups=groups)
