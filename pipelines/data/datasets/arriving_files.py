"""Reading the files of a `stream.source` from their bytes: what was hashed is what is read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.config.sections.source_section import SUFFIXES, SourceSpec
from pipelines.data.datasets.arrow_columns import Columns, values
from pipelines.data.datasets.csv_files import read_csv
from pipelines.data.datasets.jsonl_files import read_jsonl
from pipelines.data.datasets.labels import LabelMap, id_numbers
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.npz_reader import NpzReader
from pipelines.data.datasets.parquet_reader import ParquetReader
from pipelines.data.datasets.tables import Reader, Table, TableFiles
from pipelines.data.datasets.text_tables import TextTableReader
from pipelines.data.experience_samples import ID_BITS
from pipelines.data.samples import TensorSamples

_TEST_FRACTION = 0.2


@dataclass(frozen=True)
class FileBytes(Location):
    """A file that was read already; its `path` is its name in messages."""

    section: ClassVar[str] = "stream.source"
    data: bytes = b""

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        import pyarrow

        yield pyarrow.BufferReader(self.data)

    @contextmanager
    def open_plain(self) -> Iterator[BinaryIO]:
        yield io.BytesIO(self.data)


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        rows: how many.
        shape, dtype: of an input, as the model gets it.
        names: the columns of the inputs; None: they have no names.
        labels: the different ones, as they are in the file.
        time: the last time of its rows, where the source has a column of times.
        ids: of its rows as numbers, (n,), where labels come later.
    """

    rows: int
    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...] | None
    labels: np.ndarray[Any, Any]
    time: str | float | None
    ids: NDArray[np.int64] | None = None


class ArrivingFiles:
    """Reads files as the dataset of the same format does."""

    def __init__(self, source: SourceSpec) -> None:
        self._source = source
        self._files = TableFiles(
            reader=_reader(source),
            path=Location(source.path),
            test=None,
            id_hash=None if source.test is None else source.test.id_hash,
            test_fraction=_TEST_FRACTION if source.test_fraction is None else source.test_fraction,
            classes=source.classes,
            shape=None if source.shape is None else tuple(source.shape),
            channels=source.channels or "first",
        )

    def contents(self, key: str, data: bytes) -> Contents:
        """What a file holds.

        Raises:
            DataError: it cannot be read, or has values that cannot be learned from.
        """
        file = FileBytes(key, data)
        train, test = self._files.reader.read(file)
        tables = [train] if test is None else [train, test]
        # Whatever the classes are: they are compared with those of other files later.
        plain = [
            self._files.samples(replace(t, labels=np.zeros(len(t.labels), int)), LabelMap(1), file) for t in tables
        ]
        if self._source.mature is None:
            labels, ids = np.unique(np.concatenate([table.labels.reshape(-1) for table in tables])), None
        else:
            labels, ids = np.zeros(0, dtype=np.int64), self._unlabelled(train, test, file)
        rows = sum(map(len, plain))
        if rows == 0:
            raise DataError(f"{key}: it has no rows")
        dtype = str(plain[0].dtype).removeprefix("torch.")
        return Contents(rows, plain[0].input_shape, dtype, train.names, labels, self._time(file), ids)

    def samples(
        self,
        files: Sequence[tuple[str, bytes]],
        labels: LabelMap,
        serial: int,
        joined: Mapping[int, int] | None = None,
    ) -> tuple[TensorSamples, TensorSamples]:
        """Training and test samples of an experience of these files, by key; rows without ids are numbered.

        Args:
            joined: the class number of each id, where labels come later; rows without one are left out.

        Raises:
            DataError: they cannot be learned from together, such as where no class has two rows.
        """
        read = [self._files.reader.read(FileBytes(key, data)) for key, data in files]
        named = FileBytes(files[0][0] if len(files) == 1 else f"{files[0][0]} to {files[-1][0]}")
        separate = [test for _, test in read if test is not None]
        if separate and len(separate) < len(read):
            raise DataError(f"{named.path}: some of the files separate training and test rows, and some do not")
        table, test = _together([train for train, _ in read]), _together(separate) if separate else None
        if joined is not None:
            table, labels = _labelled(table, joined, named), LabelMap(labels.count)
        train, held_out = self._files.divided(table, test, labels, named, serial << ID_BITS)
        for name, samples in (("training", train), ("test", held_out)):
            if len(samples) == 0:
                why = "no class of it has two rows" if name == "test" else "it has none"
                raise DataError(f"{named.path}: leaves no {name} rows: {why}")
        if len(torch.unique(train.ids)) != len(train):
            raise DataError(f"{named.path}: an id occurs more than once: an id names one sample of all files")
        return train, held_out

    def inputs(self, key: str, data: bytes) -> TensorSamples:
        """The rows of a file whose labels come later, as if all were of class 0.

        Raises:
            DataError: it cannot be read.
        """
        file = FileBytes(key, data)
        table, _ = self._files.reader.read(file)
        return self._files.samples(replace(table, labels=np.zeros(len(table.labels), int)), LabelMap(1), file)

    def _unlabelled(self, table: Table, test: Table | None, file: FileBytes) -> NDArray[np.int64]:
        """The ids of rows whose labels come later."""
        label = self._source.label or "label"
        if test is not None:
            raise DataError(f"{file.path}: separates training and test rows, which files without labels cannot")
        if label in (table.names or ()):
            raise DataError(
                f"{file.path}: has the column '{label}', but with `mature` labels come as files of their own, in "
                "stream.source.labels. Leave the column out"
            )
        assert table.ids is not None
        return id_numbers(table.ids, file.path, file.section)

    def _time(self, file: FileBytes) -> str | float | None:
        name = self._source.time
        if name is None:
            return None
        reader = self._files.reader
        if isinstance(reader, NpzReader):
            table, _ = replace(reader, label=name, id=None).read(file)
            times = table.labels
        elif isinstance(reader, ParquetReader):
            times = replace(reader, columns=replace(reader.columns, label=name)).labels(file)
        else:
            assert isinstance(reader, TextTableReader)
            rows = reader.rows(file)
            if name not in rows.column_names:
                raise DataError(f"{file.path}: has no column '{name}' for the time")
            times = values(rows[name], name, file)
        if times.dtype.kind in "iuf":
            return float(times.max())
        return str(max(map(str, times.tolist())))


def _reader(source: SourceSpec) -> Reader:
    # Where labels come later the ids stand in for them, which each file has.
    label = source.label if source.mature is None else source.id
    if source.format == "npz":
        inputs = source.inputs if isinstance(source.inputs, str) else None
        return NpzReader(inputs or "x", label or "y", source.id)
    columns = replace(Columns.of(source.inputs, label or "label", source.id), time=source.time)
    if source.format == "parquet":
        return ParquetReader(columns)
    rows = partial(read_csv, delimiter=source.delimiter) if source.format == "csv" else read_jsonl
    return TextTableReader(columns, rows, SUFFIXES[source.format])


def _together(tables: Sequence[Table]) -> Table:
    """The rows of several files, in their order."""
    if len(tables) == 1:
        return tables[0]
    ids = [table.ids for table in tables if table.ids is not None]
    return Table(
        np.concatenate([table.inputs for table in tables]),
        np.concatenate([table.labels for table in tables]),
        np.concatenate(ids) if ids else None,
        tables[0].names,
    )


def _labelled(table: Table, joined: Mapping[int, int], file: FileBytes) -> Table:
    """The rows that have a label, with its class number."""
    assert table.ids is not None
    numbers = [joined.get(id_, -1) for id_ in id_numbers(table.ids, file.path, file.section).tolist()]
    targets = np.array(numbers, dtype=np.int64)
    kept = targets >= 0
    return Table(table.inputs[kept], targets[kept], table.ids[kept], table.names)
