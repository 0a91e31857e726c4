"""Files of text with a row in each line: what CSV and JSON Lines have in common."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arrow_columns import Columns, check_columns, numbers, together, values
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import Table

ArrowRows = Callable[[Location], Any]
"""Reads a file as an arrow table. Raises DataError where the file is not of its format."""

_CHUNK = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TextTableReader:
    """Columns by name. All inputs become float32, since text says too little about types.

    Attributes:
        columns: which columns are meant.
        rows: reads a file.
        suffix: suffixes of the files.
    """

    columns: Columns
    rows: ArrowRows
    suffix: tuple[str, ...]

    def read(self, location: Location) -> tuple[Table, Table | None]:
        table = self.rows(location)
        named = [name for name in table.column_names if name]
        inputs = self.columns.input_names(named, location)
        self.columns.wanted(inputs, named, location)
        return text_table(self.columns, table, inputs, location), None

    def labels(self, location: Location) -> NDArray[Any]:
        table = self.rows(location)
        check_columns(self.columns.label_names, table.column_names, location, "label")
        return self.columns.labels(table, location)


def text_table(columns: Columns, table: Any, inputs: Sequence[str], location: Location) -> Table:
    """The rows of an arrow table that was text.

    Raises:
        DataError: values are missing, or inputs are no numbers.
    """
    ids = None if columns.id is None else values(table[columns.id], columns.id, location)
    labels = columns.labels(table, location)
    made = [_numbers(table[name], name, location) for name in inputs]
    groups = columns.groups(table, location)
    marks = columns.marks(table, location)
    return Table(together(made, inputs, location), labels, ids, tuple(inputs), groups, marks)


def text_of(location: Location) -> bytes:
    """The content of a file, unpacked if its name ends in .gz, without a byte order mark.

    Raises:
        DataError: it cannot be read, is empty, is no gzip file, or is not UTF-8; the message names the line.
    """
    import pyarrow

    with location.open() as file:
        if not location.name.lower().endswith(".gz"):
            data = file.read()
        else:
            try:
                data = pyarrow.CompressedInputStream(file, "gzip").read()
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"{location.path}: not a readable gzip file: {error}") from error
    start = text_start(data, location)
    if not data.strip():
        raise DataError(f"{location.path}: the file is empty")
    check_utf8(data, location)
    return data[start:] if start else data


def text_start(data: bytes, location: Location) -> int:
    """How many bytes of a file a byte order mark takes. Raises DataError: it is that of UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{location.path}: is UTF-16, not UTF-8: save it as UTF-8")
    return len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0


def check_utf8(data: bytes, location: Location) -> None:
    """Refuse bytes that are no UTF-8. Raises DataError: it names the line, counted from the first of `data`."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _CHUNK):
        try:
            decoder.decode(data[start : start + _CHUNK], final=start + _CHUNK >= len(data))
        except UnicodeDecodeError as error:
            # The decoder's position counts from what it had kept of the chunk before.
            place = start + error.start - (len(error.object) - len(data[start : start + _CHUNK]))
            line = data.count(b"\n", 0, place) + 1
            raise DataError(
                f"{location.path}: line {line} is not UTF-8 (byte 0x{data[place]:02x}): save the file as UTF-8"
            ) from error


def _numbers(column: Any, name: str, location: Location) -> NDArray[np.float32]:
    """A column of numbers or of lists of numbers, as float32."""
    import pyarrow

    if pyarrow.types.is_null(column.type):
        raise DataError(f"{location.path}: column '{name}' has no values at all")
    refuse_text(column, name, location)
    return numbers(column, name, location).astype(np.float32)


def refuse_text(column: Any, name: str, location: Location) -> None:
    """Refuse a column of an arrow table that is text, where inputs are wanted. Raises DataError."""
    import pyarrow

    if pyarrow.types.is_string(column.type):
        row, value = _first_text(column.to_pylist())
        raise DataError(
            f"{location.path}: column '{name}' is not numbers: it has {value!r} in row {row}. "
            f"Correct the row, or name the columns of numbers in {location.section}.inputs"
        )


def _first_text(cells: Sequence[str | None]) -> tuple[int, str]:
    """The first cell that is no number, else the first that has a value."""
    filled = [(row, cell[:50]) for row, cell in enumerate(cells) if cell is not None]
    return next((found for found in filled if not _is_number(found[1])), filled[0])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
