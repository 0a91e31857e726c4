"""JSON Lines by blocks: every line is a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location


@dataclass(frozen=True)
class JsonRows:
    """The format (see `pipelines.data.datasets.text_blocks.RowFormat`)."""

    name: str = "jsonl"

    def describe(self) -> dict[str, Any]:
        return {}

    def header(self, data: bytes, location: Location) -> tuple[int, tuple[str, ...]]:
        return 0, ()

    def rows_end(self, data: bytes, location: Location) -> int:
        return data.rfind(b"\n") + 1

    def table(self, data: bytes, schema: Any, only: Sequence[str], place: Location) -> Any:
        import pyarrow
        from pyarrow import json

        known = schema if not only else pyarrow.schema([schema.field(name) for name in only])
        try:
            return json.read_json(
                pyarrow.BufferReader(data),
                # In one part, so that a row of any length fits.
                read_options=json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=json.ParseOptions(
                    newlines_in_values=False,
                    explicit_schema=known if len(known) else None,
                    unexpected_field_behavior="ignore" if len(known) else "infer",
                ),
            )
        except pyarrow.ArrowException as error:
            raise DataError(f"{place.path}: {json_reason(str(error))}") from error

    def unified(self, first: Any, second: Any, place: Location) -> Any:
        import pyarrow

        try:
            return pyarrow.unify_schemas([first, second], promote_options="permissive")
        except pyarrow.ArrowException as error:
            raise DataError(
                f"{place.path}: a column has values of one kind: {str(error).partition(chr(10))[0]}"
            ) from error


def json_reason(message: str) -> str:
    """An error of arrow's in a person's words."""
    changed = re.search(r"Column\((?:/(.*))?\) changed from (\w+) to (\w+) in row (\d+)", message)
    if changed is not None:
        name, before, after, row = changed.groups()
        if not name:
            return f"row {row} is no JSON object, but of the kind {after}"
        return f"column '{name}' is {before} before row {row}, and {after} in it: a column has values of one kind"
    broken = re.search(r"JSON parse error: (.*?)\.? in row (\d+)", message)
    if broken is not None:
        return f"row {broken[2]} is no JSON object: {broken[1]}"
    return f"not a readable JSON Lines file: {message.strip().partition(chr(10))[0]}"
