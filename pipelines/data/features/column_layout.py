"""What a model is told about the columns of its inputs: which are codes of categories, and of how many."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnLayout:
    """The columns of an input of shape (d,).

    Attributes:
        names: what each of the d columns is, for people.
        categories: (position, size) of each column of codes, which are the whole numbers 0 to size - 1: 0 is an unknown
            value, 1 a missing one. All other columns are numbers.
    """

    names: tuple[str, ...]
    categories: tuple[tuple[int, int], ...] = ()

    @classmethod
    def plain(cls, width: int) -> ColumnLayout:
        """`width` columns of numbers without names."""
        return cls(tuple(str(position) for position in range(width)))

    @property
    def numbers(self) -> tuple[int, ...]:
        """Positions of the columns that are numbers."""
        codes = {position for position, _ in self.categories}
        return tuple(position for position in range(len(self.names)) if position not in codes)
