"""Reads files whose columns are features, in any format that gives an arrow table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arrow_columns import Columns, check_columns, label_table, values
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import Table
from pipelines.data.features.feature_columns import FeatureOptions, Features, feature_columns
from pipelines.data.features.preprocessing import Preprocessing


class ArrowFile(Protocol):
    """Reads a file as an arrow table."""

    def __call__(self, location: Location, *, texts: Collection[str] = (), only: Sequence[str] | None = None) -> Any:
        """All rows.

        Args:
            texts: columns that are read as the text that the file has, where its format leaves a choice.
            only: the columns that are needed; None: all.

        Raises:
            DataError: the file is not of its format.
        """
        ...


@dataclass(frozen=True)
class FeatureReader:
    """Features by name (see `pipelines.data.datasets.tables.Reader`).

    Attributes:
        rows: reads a file.
        suffix: suffixes of the files.
        options: which columns are features.
        columns: the columns of labels and ids; its inputs are the columns that may be features.
        preprocessing: None until it is fitted: the input of a sample is then the number of its row.
    """

    rows: ArrowFile
    suffix: str | tuple[str, ...]
    options: FeatureOptions
    columns: Columns
    preprocessing: Preprocessing | None = None

    def read(self, location: Location) -> tuple[Table, Table | None]:
        table = self._table(location)
        id_ = self.columns.id
        ids = None if id_ is None else values(table[id_], id_, location)
        labels = self.columns.labels(table, location)
        groups, marks = self.columns.groups(table, location), self.columns.marks(table, location)
        if self.preprocessing is None:
            rows = np.arange(len(table), dtype=np.int64)[:, None]
            return Table(rows, labels, ids, groups=groups, marks=marks), None
        known = {*self.preprocessing.kinds, *self.options.ignore, *self._others}
        new = [name for name in table.column_names if name and name not in known]
        if new and self.columns.inputs is None:
            raise DataError(
                f"{location.path}: has a column {new[0]!r}, which experience 0 has not: its values begin with "
                f"{str(table[new[0]][0])[:30] if len(table) else ''!r} in row 0. "
                f"Leave it out: dataset.features.ignore: [{new[0]}]"
            )
        made = self.preprocessing.transform(table, location.path, keep=True)
        return Table(made, labels, ids, groups=groups, marks=marks), None

    def labels(self, location: Location) -> NDArray[Any]:
        return self.columns.labels(label_table(self.columns, self.rows, location), location)

    def fitted(self, location: Location, rows: NDArray[np.int64]) -> FeatureReader:
        """The reader with the preprocessing fitted on some rows of a file.

        Raises:
            DataError: the options do not fit the file, or a value is not of the kind of its column.
        """
        table = self._table(location)
        types = {field.name: field.type for field in table.schema}
        inputs = self.columns.inputs
        if inputs is not None:
            check_columns(inputs, list(types), location, "inputs")
            types = {name: types[name] for name in inputs}
        columns = feature_columns(self.options, types, self._others, location.path)
        made = Preprocessing.fit(columns, table, rows, self.options, location.path)
        return replace(self, preprocessing=made)

    @property
    def _others(self) -> list[str]:
        by = None if self.columns.period else self.columns.by
        further = (self.columns.id, by, None if self.columns.timed else self.columns.mark)
        return [*self.columns.label_names, *(name for name in further if name is not None)]

    def _table(self, location: Location) -> Any:
        named = [*self.options.categorical, *self.options.text, *self.options.image]
        texts = named if self.preprocessing is None else self.preprocessing.texts
        table = self.rows(location, texts=texts)
        check_columns(self.columns.label_names, table.column_names, location, "label")
        if self.columns.id is not None:
            check_columns([self.columns.id], table.column_names, location, "id")
        return table


def feature_reader(
    rows: ArrowFile, suffix: str | tuple[str, ...], features: Features, columns: Columns
) -> FeatureReader:
    """The reader of a format, with the options as a pipeline file has them.

    Args:
        rows: reads a file.
        suffix: suffixes of the files.
        columns: the columns of inputs, label and id.
    """
    options = FeatureOptions() if isinstance(features, str) else features
    return FeatureReader(rows, suffix, options, columns)
