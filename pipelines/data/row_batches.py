"""The rows of a file of any size, some at a time: parquet, CSV, JSON Lines and numpy archives."""

from __future__ import annotations

import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.csv_dialect import delimiter_of
from pipelines.data.datasets.csv_files import SUFFIXES as CSV
from pipelines.data.datasets.jsonl_files import SUFFIXES as JSONL
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_reader import opened_parquet
from pipelines.data.features.feature_columns import AS_TEXT, Kind

Wanted = Callable[[Sequence[str]], Sequence[str]]
"""From the columns that a file has to those that are needed; it raises DataError where one is missing."""

TABLES = (".parquet", *CSV, *JSONL)
TEXTS = (*CSV, *JSONL)
ARRAYS = (".npz",)

_BLOCK = 1 << 20
"""Bytes of a CSV file that are parsed at a time; a row must fit. Arrow reads some blocks ahead."""
_ROW = re.compile(r"Row #(\d+): (?:Expected (\d+) columns, got (\d+)|.*invalid value '(.*)')", re.DOTALL)
_COLUMN = re.compile(r"In CSV column #(\d+)")


def table_batches(
    location: Location, wanted: Wanted, kinds: dict[str, Kind], rows: int, delimiter: str | None = None
) -> Iterator[Any]:
    """A table's rows as arrow tables of at most about `rows` rows, in order.

    Args:
        wanted: called once, with the columns of the file.
        kinds: the kind of each column that has one, which decides the types of columns in text.
        delimiter: of a CSV file; None: a tab in .tsv files, else a comma.

    Raises:
        DataError: the file is not of the format that its name says, or a column is missing; the message names the row.
    """
    name = location.name.lower()
    if name.endswith(CSV):
        yield from _csv(location, wanted, kinds, delimiter_of(location, delimiter))
    elif name.endswith(JSONL):
        yield from _jsonl(location, wanted, rows)
    else:
        import pyarrow

        with opened_parquet(location) as file:
            columns = list(wanted(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                yield pyarrow.Table.from_batches([batch])


def array_batches(location: Location, name: str, rows: int) -> Iterator[NDArray[Any]]:
    """The rows of one array of a numpy archive, at most `rows` at a time.

    Raises:
        DataError: it is no such file, has no such array, or it holds Python objects.
    """
    with location.open() as file:
        try:
            with zipfile.ZipFile(file) as archive:
                names = [entry.removesuffix(".npy") for entry in archive.namelist()]
                if name not in names:
                    raise DataError(f"{location.path}: has no array '{name}'; it has {', '.join(names) or 'none'}")
                with archive.open(f"{name}.npy") as stored:
                    yield from _array(stored, rows, f"{location.path}: '{name}'")
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{location.path}: not a readable npz file: {error}") from error


def _array(stored: Any, rows: int, where: str) -> Iterator[NDArray[Any]]:
    version = np.lib.format.read_magic(stored)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = read(stored)
    if dtype.hasobject or not shape:
        raise DataError(f"{where} is no array of numbers or text with a row for each sample")
    if by_column and len(shape) > 1:
        raise DataError(f"{where} is stored by columns: save it with numpy.ascontiguousarray, to be read by rows")
    size = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    for start in range(0, shape[0], rows):
        count = min(rows, shape[0] - start)
        data = stored.read(count * size)
        if len(data) != count * size:
            raise DataError(f"{where} ends within row {start + len(data) // max(size, 1)}")
        yield np.frombuffer(data, dtype).reshape(count, *shape[1:])


@contextmanager
def _unpacked(location: Location) -> Iterator[Any]:
    import pyarrow

    with location.open() as file:
        yield pyarrow.CompressedInputStream(file, "gzip") if location.name.lower().endswith(".gz") else file


def _csv(location: Location, wanted: Wanted, kinds: dict[str, Kind], delimiter: str) -> Iterator[Any]:
    import pyarrow
    from pyarrow import csv

    def opened(file: BinaryIO, types: dict[str, Any], only: Sequence[str]) -> Any:
        return csv.open_csv(
            file,
            # One thread, so that errors name the row.
            read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                column_types=types,
                include_columns=list(only),
            ),
        )

    names: list[str] = []
    try:
        with _unpacked(location) as file:
            schema = opened(file, {}, ()).schema
        names = list(schema.names)
        only = list(wanted(names))
        types = {name: _wider(schema.field(name).type, kinds.get(name)) for name in only}
        with _unpacked(location) as file:
            for batch in opened(file, types, only):
                yield pyarrow.Table.from_batches([batch])
    except (pyarrow.ArrowException, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{location.path}: {_reason(str(error), names)}") from error


def _wider(type_: Any, kind: Kind | None) -> Any:
    """A type for all blocks of a file, from the one that the first block suggests."""
    import pyarrow
    from pyarrow import types

    if kind in AS_TEXT:
        return pyarrow.string()
    if types.is_null(type_):
        return pyarrow.float64() if kind == "numeric" else pyarrow.string()
    return pyarrow.float64() if kind is not None and types.is_integer(type_) else type_


def _reason(message: str, names: Sequence[str]) -> str:
    """An error of arrow's in a person's words; rows are counted from 0 below the names."""
    found, column = _ROW.search(message), _COLUMN.search(message)
    if found is not None and found[2] is not None:
        return f"row {int(found[1]) - 2} has {found[3]} columns, where the first line has {found[2]}"
    if found is not None:
        place = int(column[1]) if column is not None else -1
        name = f"column '{names[place]}' " if 0 <= place < len(names) else ""
        return f"{name}has {found[4][:50]!r} in row {int(found[1]) - 2}, where values were of another kind before"
    return f"not a readable CSV file: {message.strip().partition(chr(10))[0]}"


def _jsonl(location: Location, wanted: Wanted, rows: int) -> Iterator[Any]:
    import pyarrow

    first_row, only = 0, None
    try:
        with _unpacked(location) as file:
            lines = (line for line in io.BufferedReader(file) if line.strip())
            while block := list(itertools.islice(lines, rows)):
                table = _parsed(b"".join(block), location, first_row)
                only = list(wanted(table.column_names)) if only is None else only
                for name in only:
                    if name not in table.column_names:  # no row of the block has a value
                        table = table.append_column(name, pyarrow.nulls(len(table)))
                yield table.select(only)
                first_row += len(block)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{location.path}: not a readable JSON Lines file: {error}") from error


def _parsed(data: bytes, location: Location, first_row: int) -> Any:
    import pyarrow
    from pyarrow import json

    options = json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    try:
        return json.read_json(pyarrow.BufferReader(data), read_options=options)
    except pyarrow.ArrowException as error:
        text = str(error).strip().partition("\n")[0]
        text = re.sub(r"in row (\d+)", lambda match: f"in row {int(match[1]) + first_row}", text)
        raise DataError(f"{location.path}: {text}") from error
