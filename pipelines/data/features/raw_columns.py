"""A column of an arrow table as values of one kind. A value that is of another kind is refused with its row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.features.feature_columns import Kind


@dataclass(frozen=True)
class Place:
    """Where a column lies, for messages.

    Attributes:
        file: its path.
        column: its name.
        first_row: number of its first row in the file.
    """

    file: str
    column: str
    first_row: int = 0

    def refused(self, problem: str, row: int | None = None) -> DataError:
        """The error that something is wrong with the column, or with a row of it."""
        at = "" if row is None else f" in row {self.first_row + row}"
        return DataError(f"{self.file}: column '{self.column}' {problem}{at}")


def raw_values(column: Any, kind: Kind, place: Place) -> NDArray[Any]:
    """The values of an arrow column.

    Returns:
        (n,): `numeric` and `timestamp` (seconds since 1970, UTC) as float64, NaN where a value is missing;
        `categorical` and `text` as text, `image` as ImageSource, None where a value is missing.

    Raises:
        DataError: a value is of another kind, or an image is not there; the message names column, file and row.
    """
    import pyarrow

    if isinstance(column, pyarrow.Array):
        column = pyarrow.chunked_array([column])
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return _READ[kind](column, place)


def _numeric(column: Any, place: Place) -> NDArray[np.float64]:
    from pyarrow import types

    if types.is_null(column.type):
        return np.full(len(column), np.nan)
    if _is_text(column.type):
        cells = column.to_pylist()
        row = next((i for i, cell in enumerate(cells) if cell is not None and not _is_number(cell)), None)
        if row is None:
            row = next(i for i, cell in enumerate(cells) if cell is not None)
            raise place.refused(f"is numeric, but has the text {cells[row][:50]!r}", row)
        raise place.refused(f"is numeric, but has {cells[row][:50]!r}", row)
    numbers = types.is_boolean(column.type) or types.is_integer(column.type) or types.is_floating(column.type)
    if not numbers and not types.is_decimal(column.type):
        raise place.refused(f"is numeric, but of the type {column.type} here")
    found: NDArray[np.float64] = column.cast("float64", safe=False).to_numpy()
    endless = np.flatnonzero(np.isinf(found))
    if len(endless):
        raise place.refused("is infinite", int(endless[0]))
    return found


def _categorical(column: Any, place: Place) -> NDArray[Any]:
    from pyarrow import types

    nested = types.is_nested(column.type) or types.is_binary(column.type) or types.is_large_binary(column.type)
    if nested:
        raise place.refused(f"is categorical, but of the type {column.type} here")
    if types.is_null(column.type):
        return np.full(len(column), None, dtype=object)
    if not (_is_text(column.type) or _is_plain(column.type)):
        column = column.cast("string")
    cells = [None if cell is None or cell != cell else _text(cell) for cell in column.to_pylist()]
    found = np.empty(len(cells), dtype=object)
    found[:] = cells
    return found


def _timestamp(column: Any, place: Place) -> NDArray[np.float64]:
    import pyarrow
    from pyarrow import types

    if types.is_null(column.type):
        return np.full(len(column), np.nan)
    if _is_text(column.type):
        cells = [None if cell is None else _seconds(cell) for cell in column.to_pylist()]
        for row, (cell, given) in enumerate(zip(cells, column.to_pylist(), strict=True)):
            if cell is None and given is not None:
                raise place.refused(f"is a timestamp, but has {given[:50]!r}, which is not ISO 8601,", row)
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    if not (types.is_timestamp(column.type) or types.is_date(column.type)):
        raise place.refused(f"is a timestamp, but of the type {column.type} here: save it as a date and time")
    # Whole microseconds lose nothing that a clock has, and all years of a file fit.
    moments = column.cast(pyarrow.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    numbers = moments.cast("int64")
    found: NDArray[np.float64] = numbers.cast("float64", safe=False).to_numpy()
    return found / 1e6


def _texts(column: Any, place: Place) -> NDArray[Any]:
    from pyarrow import types

    if not (_is_text(column.type) or types.is_null(column.type)):
        raise place.refused(f"is a text, but of the type {column.type} here")
    found = np.empty(len(column), dtype=object)
    found[:] = column.to_pylist()
    return found


def _images(column: Any, place: Place) -> NDArray[Any]:
    from pipelines.data.datasets.location import Location
    from pipelines.data.images.image_sources import present_sources

    # A table in memory has no folder: its paths begin at the working directory.
    folder = Location(place.file).parent if "/" in place.file else Location.of(".")
    found = np.full(len(column), None, dtype=object)
    for row, source in present_sources(column, place.column, place.file, folder, place.first_row).items():
        found[row] = source
    return found


_READ: dict[Kind, Callable[[Any, Place], NDArray[Any]]] = {
    "numeric": _numeric,
    "categorical": _categorical,
    "timestamp": _timestamp,
    "text": _texts,
    "image": _images,
}
_UTC = re.compile(r"[zZ]$")


def _is_text(type_: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(type_) or types.is_large_string(type_))


def _is_plain(type_: Any) -> bool:
    from pyarrow import types

    return bool(types.is_boolean(type_) or types.is_integer(type_) or types.is_floating(type_))


def _text(cell: Any) -> str:
    """A value as text, the same whether a file holds 7, 7.0 or "7"."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _seconds(cell: str) -> float | None:
    """Seconds since 1970 of a text in ISO 8601; without a time zone it is UTC. None: it is no such text."""
    from datetime import UTC

    try:
        moment = datetime.fromisoformat(_UTC.sub("+00:00", cell.strip()))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
