"""Reading parquet files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arrow_columns import PANDAS_INDEX, Columns, check_columns
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import Table


@dataclass(frozen=True)
class ParquetReader:
    """Columns by name. The unnamed index that pandas stores beside them is no input."""

    columns: Columns
    suffix: str = ".parquet"

    def read(self, location: Location) -> tuple[Table, Table | None]:
        with opened_parquet(location) as file:
            names = [name for name in file.schema_arrow.names if not PANDAS_INDEX.fullmatch(name)]
            inputs = self.columns.input_names(names, location)
            table = file.read(columns=self.columns.wanted(inputs, file.schema_arrow.names, location))
            return self.columns.table(table, inputs, location), None

    def labels(self, location: Location) -> NDArray[Any]:
        with opened_parquet(location) as file:
            names = self.columns.label_names
            check_columns(names, file.schema_arrow.names, location, "label")
            return self.columns.labels(file.read(columns=list(names)), location)


@contextmanager
def opened_parquet(location: Location) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`; its errors become a DataError."""
    import pyarrow
    from pyarrow import parquet

    with location.open() as file:
        try:
            yield parquet.ParquetFile(file)
        except pyarrow.ArrowException as error:
            raise DataError(f"{location.path}: not a readable parquet file: {error}") from error


def read_parquet(location: Location, *, texts: Collection[str] = (), only: Sequence[str] | None = None) -> Any:
    """All rows as an arrow table, without the unnamed index that pandas stores beside the columns.

    Args:
        texts: not needed here: the file says the types.
        only: the columns to read, of which those are left out that the file lacks; None: all.

    Raises:
        DataError: the file is not a parquet file.
    """
    with opened_parquet(location) as file:
        names = [name for name in file.schema_arrow.names if not PANDAS_INDEX.fullmatch(name)]
        return file.read(columns=[name for name in names if only is None or name in only])
