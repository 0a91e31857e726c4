"""CSV files by blocks: a row ends where a line does, unless that is within quotation marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.csv_dialect import check_header, csv_reason, delimiter_of
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.text_tables import check_utf8


@dataclass(frozen=True)
class CsvRows:
    """The format (see `pipelines.data.datasets.text_blocks.RowFormat`).

    Attributes:
        delimiter: between columns; None: by the name of the file.
    """

    delimiter: str | None = None
    name: str = "csv"

    def describe(self) -> dict[str, Any]:
        return {"delimiter": self.delimiter}

    def header(self, data: bytes, location: Location) -> tuple[int, tuple[str, ...]]:
        delimiter = delimiter_of(location, self.delimiter)
        check_header(data, delimiter, location)
        ends = (found.end() for found in row_ends(delimiter).finditer(data) if found[1])
        end = next((end for end in ends if data[:end].strip()), len(data))
        check_utf8(data[:end], location)
        return end, tuple(self._read(data[:end], location).column_names)

    def rows_end(self, data: bytes, location: Location) -> int:
        if b'"' not in data:
            return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        ends = row_ends(delimiter_of(location, self.delimiter)).finditer(data)
        return max((found.end() for found in ends if found[1]), default=0)

    def table(self, data: bytes, schema: Any, only: Sequence[str], place: Location) -> Any:
        import pyarrow

        types = {field.name: field.type for field in schema if not pyarrow.types.is_null(field.type)}
        return self._read(data, place, names=schema.names, types=types, only=only)

    def unified(self, first: Any, second: Any, place: Location) -> Any:
        import pyarrow

        return pyarrow.schema(
            [pyarrow.field(one.name, _unified(one.type, other.type)) for one, other in zip(first, second, strict=True)]
        )

    def _read(
        self,
        data: bytes,
        place: Location,
        names: Sequence[str] | None = None,
        types: dict[str, Any] | None = None,
        only: Sequence[str] = (),
    ) -> Any:
        import pyarrow
        from pyarrow import csv

        try:
            return csv.read_csv(
                pyarrow.BufferReader(data),
                # In one part, so that types are found from all values.
                read_options=csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
                parse_options=csv.ParseOptions(delimiter=delimiter_of(place, self.delimiter), newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    column_types=types,
                    include_columns=list(only),
                ),
            )
        except pyarrow.ArrowException as error:
            raise DataError(f"{place.path}: {csv_reason(str(error))}") from error


@lru_cache(maxsize=8)
def row_ends(delimiter: str) -> re.Pattern[bytes]:
    """Finds fields in quotation marks, and, as group 1, the ends of rows, from the beginning of a row on.

    A quotation mark opens a field only where one begins, as arrow reads it; two of them within are one.
    """
    sign = re.escape(delimiter.encode())
    return re.compile(rb"(?<![^" + sign + rb'\r\n])"[^"]*(?:""[^"]*)*(?:"|\Z)|(\r\n?|\n)')


def _unified(first: Any, second: Any) -> Any:
    """The type of a column whose values have one in some rows, and one in others: what arrow finds for all."""
    import pyarrow
    from pyarrow import types

    if first == second or types.is_null(second):
        return first
    if types.is_null(first):
        return second
    if all(types.is_integer(one) or types.is_floating(one) for one in (first, second)):
        return pyarrow.float64()
    dated = [one for one in (first, second) if types.is_timestamp(one)]
    if dated and all(types.is_date(one) or (types.is_timestamp(one) and one.tz is None) for one in (first, second)):
        return max(dated, key=lambda one: one.unit != "s")
    return pyarrow.string()
