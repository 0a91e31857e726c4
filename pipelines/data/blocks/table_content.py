"""What is taken of the arrow tables that blocks of a table hold: labels by value and group, ids, and inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_reader import BlockReader, Extents, Found, found_labels
from pipelines.data.datasets.arrow_columns import Columns, check_columns, values
from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.tables import Table
from pipelines.data.features.feature_columns import FeatureOptions, feature_columns
from strategies.objectives.objective import TargetKind

if TYPE_CHECKING:
    from pipelines.data.features.preprocessing import Preprocessing


class TableBlocks(BlockReader, Protocol):
    """A format whose blocks are arrow tables."""

    @property
    def columns(self) -> Columns: ...

    @property
    def features(self) -> BlockFeatures | None: ...

    def with_features(self, features: BlockFeatures) -> TableBlocks:
        """The same with other features."""
        ...

    def tables(
        self, location: Location, number: int, state: FileState, rows: int, *, extents: Extents | None = None
    ) -> Iterator[Any]:
        """The rows of a block with the columns that are needed, in pieces of at most so many rows."""
        ...


@dataclass(frozen=True)
class BlockFeatures:
    """Columns of a table that a preprocessing makes inputs of, block by block.

    Attributes:
        options: which columns are features.
        preprocessing: None until it is fitted: the input of a sample is then the number of its row in its piece.
    """

    options: FeatureOptions
    preprocessing: Preprocessing | None = None

    def fitted(self, preprocessing: Preprocessing) -> BlockFeatures:
        """The same with a preprocessing."""
        return replace(self, preprocessing=preprocessing)

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that are read as the text that a file has, where its format leaves a choice."""
        return (*self.options.categorical, *self.options.text, *self.options.image)

    def names(self, columns: Columns, types: dict[str, Any], where: str) -> tuple[str, ...]:
        """The columns that are read.

        Args:
            types: arrow types of the file's columns.

        Raises:
            DataError: the options do not fit the file, or it lacks a column, or has a new one.
        """
        others = self.others(columns)
        if self.preprocessing is not None:
            kinds = self.preprocessing.kinds
            new = [name for name in types if name and name not in {*kinds, *self.options.ignore, *others}]
            if new and columns.inputs is None:
                raise DataError(
                    f"{where}: has a column {new[0]!r}, which experience 0 has not. Leave it out: "
                    f"dataset.features.ignore: [{new[0]}]"
                )
            return tuple(kinds)
        if columns.inputs is not None:
            check_columns(columns.inputs, list(types), Location(where), "inputs")
            types = {name: types[name] for name in columns.inputs}
        return tuple(one.name for one in feature_columns(self.options, types, others, where))

    def inputs(self, table: Any, place: Location, first_row: int) -> NDArray[Any]:
        """(n, d) of the rows of a piece of a block."""
        if self.preprocessing is None:
            return np.arange(len(table), dtype=np.int64)[:, None]
        return self.preprocessing.transform(table, place.path, first_row, keep=True)

    def others(self, columns: Columns) -> list[str]:
        """Columns that are no features."""
        further = (columns.id, None if columns.period else columns.by, columns.mark)
        return [*columns.label_names, *(name for name in further if name is not None)]


def outline(columns: Columns, table: Any, place: Location) -> Table:
    """The rows of an arrow table without their inputs."""
    labels = columns.labels(table, place)
    ids = None if columns.id is None else values(table[columns.id], columns.id, place)
    return Table(np.empty((len(labels), 0)), labels, ids, groups=columns.groups(table, place))


def featured(columns: Columns, features: BlockFeatures, table: Any, place: Location, first_row: int) -> Table:
    """The rows of an arrow table with inputs that a preprocessing makes."""
    return replace(outline(columns, table, place), inputs=features.inputs(table, place, first_row))


def labels_in(columns: Columns, kind: TargetKind, table: Any, place: Location) -> Found:
    """The labels of an arrow table, for a survey."""
    return found_labels(columns.labels(table, place), kind, columns.groups(table, place))


def outline_names(columns: Columns) -> list[str]:
    """The columns of labels and groups."""
    further = (columns.by, columns.mark, columns.id if columns.part is not None else None)
    return list(dict.fromkeys([*columns.label_names, *(name for name in further if name is not None)]))


def description(columns: Columns, kind: TargetKind, features: BlockFeatures | None) -> dict[str, Any]:
    """What is read, as plain data; what was not there in older indices is said only where it is used."""
    inputs: Sequence[str] | None = columns.inputs
    said: dict[str, Any] = {
        "inputs": None if inputs is None else list(inputs),
        "label": list(columns.label_names),
        "id": columns.id,
    }
    if columns.by is not None:
        said["by"] = [columns.by, columns.period]
    if columns.part is not None:
        said["test"] = columns.part.model_dump(exclude_none=True)
    if kind != "classes":
        said["targets"] = kind
    if features is not None:
        said["features"] = features.options.model_dump()
    return said
