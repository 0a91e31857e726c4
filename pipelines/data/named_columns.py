"""Columns of a stream's inputs by their names in the files, and what their values are called."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.data.features.encoders import Categorical
from pipelines.data.streams import Stream

_CODES = ("unknown", "missing")


@dataclass(frozen=True)
class NamedColumn:
    """A column of inputs of shape (d,).

    Attributes:
        name: in the files.
        position: in the inputs.
        values: the values that codes stand for, from code 2 on; None: the inputs hold its numbers.
    """

    name: str
    position: int
    values: tuple[str, ...] | None = None

    def value_name(self, value: float) -> str:
        """What a value is called."""
        if self.values is None:
            return f"{value:g}"
        return (*_CODES, *self.values)[int(value)]


def named_columns(stream: Stream) -> list[NamedColumn]:
    """The columns that the files name, in the order of the inputs; of several numbers of one feature the first."""
    if stream.preprocessing is None:
        return [NamedColumn(name, place) for place, name in enumerate(stream.column_names or ())]
    found, position = [], 0
    for encoder in stream.preprocessing.encoders:
        values = tuple(map(str, encoder.values)) if isinstance(encoder, Categorical) else None
        found.append(NamedColumn(encoder.name, position, values))
        position += len(encoder.columns)
    return found
