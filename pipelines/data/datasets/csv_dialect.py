"""How a CSV file is written: what separates its columns, and what its first line must be."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


def delimiter_of(location: Location, delimiter: str | None = None) -> str:
    """The character between columns: as given, else a tab in .tsv files, else a comma."""
    return delimiter or ("\t" if ".tsv" in location.name.lower() else ",")


def check_header(data: bytes, delimiter: str, location: Location) -> None:
    """Check the names of the columns, which are the first line."""
    # What is behind the first line, and may be cut within a character, is for others to refuse.
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", errors="replace", newline="")
    try:
        header = next((row for row in csv.reader(text, delimiter=delimiter) if row), [])
    except csv.Error as error:
        raise DataError(f"{location.path}: the first line has no names of columns: {error}") from error
    if len(header) == 1:
        other = next((sign for sign in _DELIMITERS if sign != delimiter and sign in header[0]), None)
        if other is not None:
            said = _DELIMITERS.get(delimiter, repr(delimiter))
            shown = "\\t" if other == "\t" else other
            raise DataError(
                f"{location.path}: its columns are not separated by {said}, but by {_DELIMITERS[other]}: "
                f'the first line is {header[0][:60]!r}. Set dataset.delimiter: "{shown}"'
            )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{location.path}: more than one column is called {twice[0]!r}: rename them")
    if header and all(re.fullmatch(r"\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*", name) for name in header):
        shown = delimiter.join(header)[:60]
        raise DataError(
            f"{location.path}: the first line must have the names of the columns, but is {shown!r}: add a line of names"
        )


def csv_reason(message: str) -> str:
    """An error of arrow's in a person's words."""
    found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)(?:: (.*))?", message)
    if found is not None:
        line, expected, got, text = found.groups()
        return f"line {line} has {got} columns, where the first has {expected}: {(text or '')[:60]!r}"
    return f"not a readable CSV file: {message.strip().partition(chr(10))[0]}"
