"""What a file format gives: its rows, and the labels of all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location

if TYPE_CHECKING:
    from pipelines.data.features.preprocessing import Preprocessing


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        inputs: (n, *shape) numbers.
        labels: (n,) as they are in the file, or (n, k).
        ids: (n,) as they are in the file, or None.
        names: the columns of the inputs; None: they have no names.
        groups: (n,) by which rows are divided into experiences; None: they are not.
        marks: (n,) by which they are divided into training and test rows; None: they are not.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    ids: NDArray[Any] | None
    names: tuple[str, ...] | None = None
    groups: NDArray[Any] | None = None
    marks: NDArray[Any] | None = None


def check_same_columns(table: Table, file: Location, first: tuple[str, ...] | None, first_file: Location) -> None:
    """Refuse a file whose inputs are other columns than those of the first file, or the same in another order.

    Args:
        first: the columns of the first file; None: they have no names.

    Raises:
        DataError: they are not the same.
    """
    if first is None or table.names is None or table.names == first:
        return
    missing = [name for name in first if name not in table.names]
    new = [name for name in table.names if name not in first]
    found = [f"lacks {', '.join(map(repr, missing[:5]))}"] if missing else []
    found += [f"has also {', '.join(map(repr, new[:5]))}"] if new else []
    raise DataError(
        f"{file.path}: its inputs are not the columns of {first_file.name}: it "
        f"{' and '.join(found) or 'has them in another order'}. Name the columns in "
        f"{file.section}.inputs, in their order"
    )


class Reader(Protocol):
    """A file format."""

    @property
    def suffix(self) -> str | tuple[str, ...]:
        """Suffix of its files, or several."""
        ...

    def read(self, location: Location) -> tuple[Table, Table | None]:
        """The file's training rows, and its test rows if the file separates them.

        Raises:
            DataError: the file is not of this format, or lacks an array or column.
        """
        ...

    def labels(self, location: Location) -> NDArray[Any]:
        """The labels of all its rows, read without the inputs."""
        ...


@runtime_checkable
class FittingReader(Reader, Protocol):
    """A reader whose inputs are made by a preprocessing; before it is fitted they are the numbers of rows, (n, 1)."""

    @property
    def preprocessing(self) -> Preprocessing | None: ...

    def fitted(self, location: Location, rows: NDArray[np.int64]) -> FittingReader:
        """The reader with its preprocessing fitted on these rows of a file, (m,)."""
        ...
