"""A row of a score matrix of which few cells are known: those that `evaluate` in the pipeline file names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload


class SparseRow(Sequence[float | None]):
    """Behaves as the list of all cells, None where a cell is not known, and holds only those that are.

    Attributes:
        known: the scores by experience, ascending.
    """

    def __init__(self, known: Mapping[int, float | None], length: int) -> None:
        self.known: dict[int, float] = {at: value for at, value in sorted(known.items()) if value is not None}
        self._length = max(length, 1 + max(self.known, default=-1))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[float | None]:
        return (self.known.get(at) for at in range(self._length))

    @overload
    def __getitem__(self, at: int) -> float | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[float | None]: ...
    def __getitem__(self, at: int | slice) -> float | list[float | None] | None:
        if isinstance(at, slice):
            return [self.known.get(one) for one in range(*at.indices(self._length))]
        return self.known.get(range(self._length)[at])

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, SparseRow) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SparseRow({self.known}, {self._length})"

    def filled(self, more: Mapping[int, float | None]) -> SparseRow:
        """This row, with `more` where it has nothing."""
        return SparseRow({**more, **self.known}, self._length)


def cells(row: Sequence[float | None]) -> Iterable[tuple[int, float]]:
    """The experiences whose cells are known, with their scores, ascending."""
    if isinstance(row, SparseRow):
        return row.known.items()
    return ((at, value) for at, value in enumerate(row) if value is not None)


def to_plain(row: Sequence[float | None]) -> list[float | None] | dict[str, float]:
    """For JSON: a list of all cells, or of a sparse row an object of those that are known."""
    return {str(at): value for at, value in row.known.items()} if isinstance(row, SparseRow) else list(row)


def from_plain(rows: Sequence[Any]) -> list[Sequence[float | None]]:
    """The rows of a matrix that `to_plain` made."""
    length = max([len(rows), *(1 + int(at) for row in rows if isinstance(row, dict) for at in row)], default=0)
    return [
        SparseRow({int(at): value for at, value in row.items()}, length) if isinstance(row, dict) else row
        for row in rows
    ]
