"""Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

from pydantic import Field

from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.blocks.block_tables import TableOptions, load_block_tables
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.held_out_part import Test
from pipelines.data.datasets.image_layout import Channels
from pipelines.data.datasets.init_formats import FileFormat
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.datasets.parquet_reader import ParquetReader, read_parquet
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.datasets.time_periods import By
from pipelines.data.detect_columns import parquet_columns
from pipelines.data.features.feature_columns import Features
from pipelines.data.features.feature_reader import feature_reader
from strategies.objectives.objective import TargetKind

INIT_FORMAT = FileFormat((".parquet",), parquet_columns, table=True)


def load(
    path: str,
    *,
    test: Test | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    inputs: str | Sequence[str] | None = None,
    label: str | Sequence[str] = "label",
    id: str | None = None,  # noqa: A002 (the option's name)
    by: By | None = None,
    time: str | None = None,
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
            {id_hash: 20%} holds out this share by a hash of the ids instead: a sample stays on its side when a file
            grows. {column: split, value: test} takes rows by a column, {time: at, last: 20%} the last ones in time.
        test_fraction: share of each class that is held out for testing.
        inputs: columns of the inputs: numbers, or one column of lists; by default all but the label and the id.
        label: column of the labels; with objective: regression or multi-label a column of numbers, or several.
        id: column of the ids, whole numbers or text; by default row numbers are the ids.
        by: column by whose values one file is divided into experiences, in ascending order, and which is no input: a
            domain, a site. {time: month}, or day, week, quarter, year: by the periods of the column `time`. Without
            it a file is split by class.
        time: column of dates and times. It is no input, but may be a feature.
        classes: number of classes, or the labels in the order of the classes; by default found from all labels. Set it
            where more classes are to come: it decides the size of the model's head.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
        channels: `last`, where images are (height, width, channels); models take them first.
        features: `auto`, or the columns of each kind: a table of numbers, categories and timestamps, with missing
            values, is turned into numbers by a preprocessing that is part of the model.
    """
    columns = Columns.of(inputs, label, id, by, time)
    plain = ParquetReader(columns)
    reader = plain if features is None else feature_reader(read_parquet, ".parquet", features, columns)
    files = TableFiles.of(reader, path, test, test_fraction, classes, shape, channels)
    return files.learning(target_kind, columns.label_names, columns.by).load("parquet")


def blocks(store: IndexStore | None, path: str, **options: Unpack[TableOptions]) -> Dataset | ExperienceDataset:
    """The same, read by row groups when they are needed, for streams with `lanes`.

    Args:
        store: keeps the index of the row groups.

    Raises:
        DataError: as `load`.
    """
    return load_block_tables("parquet", store, path, ParquetBlocks, **options)


BLOCKS = blocks
