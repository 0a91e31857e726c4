"""Parquet files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arrow_columns import PANDAS_INDEX, Columns, check_columns
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.image_layout import Channels
from pipelines.data.datasets.init_formats import FileFormat
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import Table, TableFiles
from pipelines.data.detect_columns import parquet_columns
from pipelines.data.features.feature_columns import Features
from pipelines.data.features.feature_reader import feature_reader
from strategies.objectives.objective import TargetKind

INIT_FORMAT = FileFormat((".parquet",), parquet_columns, table=True)


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


def load(
    path: str,
    *,
    test: str | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    inputs: str | Sequence[str] | None = None,
    label: str | Sequence[str] = "label",
    id: str | None = None,  # noqa: A002 (the option's name)
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
    shape: Sequence[Annotated[int, Field(ge=1)]] | None = None,
    channels: Channels = "first",
    features: Features | None = None,
    target_kind: TargetKind = "classes",
) -> Dataset | ExperienceDataset:
    """Parquet files, local or s3://: a file that is split by class, or a folder with one file per experience.

    Args:
        path: a .parquet file, or a folder of them, one for each experience, in the natural order of their names: batch2
            before batch10.
        test: the test rows: a file, or a folder with files of the same names. Without it, a fixed part of each class is
            held out for testing.
        test_fraction: share of each class that is held out for testing.
        inputs: columns of the inputs: numbers, or one column of lists; by default all but the label and the id.
        label: column of the labels; with objective: regression or multi-label a column of numbers, or several.
        id: column of the ids, whole numbers or text; by default row numbers are the ids.
        classes: number of classes, or the labels in the order of the classes; by default found from all labels. Set it
            where more classes are to come: it decides the size of the model's head.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
        channels: `last`, where images are (height, width, channels); models take them first.
        features: `auto`, or the columns of each kind: a table of numbers, categories and timestamps, with missing
            values, is turned into numbers by a preprocessing that is part of the model.
    """
    columns = Columns.of(inputs, label, id)
    plain = ParquetReader(columns)
    reader = plain if features is None else feature_reader(read_parquet, ".parquet", features, columns)
    files = TableFiles.of(reader, path, test, test_fraction, classes, shape, channels)
    return files.learning(target_kind, reader.columns.label_names).load("parquet")
