"""JSON Lines: a JSON object in each line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Annotated, Any, Unpack

from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.blocks.block_tables import TableOptions, load_block_tables
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.held_out_part import Test
from pipelines.data.datasets.image_layout import Channels
from pipelines.data.datasets.init_formats import FileFormat
from pipelines.data.datasets.jsonl_blocks import JsonRows, json_reason
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.datasets.text_blocks import TextBlocks
from pipelines.data.datasets.text_tables import TextTableReader, text_of
from pipelines.data.datasets.time_periods import By
from pipelines.data.detect_columns import text_columns
from pipelines.data.features.feature_columns import Features
from pipelines.data.features.feature_reader import feature_reader
from strategies.objectives.objective import TargetKind

SUFFIXES = (".jsonl", ".jsonl.gz")

_LARGEST_BLOCK = 2**31 - 1


def read_jsonl(location: Location, *, texts: Collection[str] = (), only: Sequence[str] | None = None) -> Any:
    """All rows as an arrow table, a column for each key.

    Args:
        texts: not needed here: the file says the types.
        only: the columns that are needed, of which those are left out that the file lacks; None: all.

    Raises:
        DataError: a line is no JSON object, or the values of a key are of different kinds; the message names the row.
    """
    import pyarrow
    from pyarrow import json

    data = text_of(location)
    # In one block, so that a row of any length fits and errors count from the first row.
    options = json.ReadOptions(use_threads=False, block_size=min(len(data) + 1, _LARGEST_BLOCK))
    try:
        table = json.read_json(
            pyarrow.BufferReader(data),
            read_options=options,
            parse_options=json.ParseOptions(newlines_in_values=False),
        )
    except pyarrow.ArrowException as error:
        raise DataError(f"{location.path}: {json_reason(str(error))}") from error
    return table if only is None else table.select([name for name in table.column_names if name in only])


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
    """JSON Lines, also .gz, local or s3://: a file that is split by class, or a folder with one file per experience.

    Args:
        path: a .jsonl or .jsonl.gz file, or a folder of them, one for each experience, in the natural order of their
            names: batch2 before batch10. Each line is a JSON object; all have the same keys, which are the columns.
        test: the test rows: a file, or a folder with files of the same names. Without it, a fixed part of each class is
            held out for testing.
            {id_hash: 20%} holds out this share by a hash of the ids instead: a sample stays on its side when a file
            grows. {column: split, value: test} takes rows by a column, {time: at, last: 20%} the last ones in time.
        test_fraction: share of each class that is held out for testing.
        inputs: columns of the inputs: numbers, or one column of lists; by default all but the label and the id.
        label: column of the labels: text, whole numbers, or true and false. With objective: regression or multi-label
            a column of numbers, or several.
        id: column of the ids, whole numbers or text; by default row numbers are the ids.
        by: column by whose values one file is divided into experiences, in ascending order, and which is no input: a
            domain, a site. {time: month}, or day, week, quarter, year: by the periods of the column `time`. Without
            it a file is split by class.
        time: column of dates and times. It is no input, but may be a feature.
        classes: number of classes, or the labels in the order of the classes; by default the labels of the training
            rows, sorted. Set it where more classes are to come: it decides the size of the model's head.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
        channels: `last`, where images are (height, width, channels); models take them first.
        features: `auto`, or the columns of each kind: a table of numbers, categories and timestamps, with missing
            values, is turned into numbers by a preprocessing that is part of the model.
    """
    columns = Columns.of(inputs, label, id, by, time)
    plain = TextTableReader(columns, read_jsonl, SUFFIXES)
    reader = plain if features is None else feature_reader(read_jsonl, SUFFIXES, features, columns)
    files = TableFiles.of(reader, path, test, test_fraction, classes, shape, channels, from_training=True)
    files = files.learning(target_kind, columns.label_names, columns.by)
    return files.load("jsonl")


def blocks(store: IndexStore | None, path: str, **options: Unpack[TableOptions]) -> Dataset | ExperienceDataset:
    """The same, read by blocks of rows when they are needed, for streams with `lanes`.

    Args:
        store: keeps the index of the blocks.

    Raises:
        DataError: beside what `load` raises: packed files.
    """
    made = partial(TextBlocks, format=JsonRows(), suffix=SUFFIXES)
    return load_block_tables("jsonl", store, path, made, from_training=True, **options)


BLOCKS = blocks
INIT_FORMAT = FileFormat(SUFFIXES, partial(text_columns, read_jsonl), table=True)
