"""What a file format does so that its files are read by blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.tables import Reader, Table


@dataclass(frozen=True, eq=False)
class Extents:
    """Where the blocks of a file are, for formats whose files do not say so themselves.

    Attributes:
        bytes: (blocks, 2) int64: the first byte of each, and the one behind its last.
        schema: what the format has to know of the file, as text.
    """

    bytes: NDArray[np.int64]
    schema: str


@dataclass(frozen=True)
class Survey:
    """The blocks of a file, as far as they are known without the inputs.

    Attributes:
        rows: (blocks,) rows of each.
        labels: the labels that occur in the file.
        counts: (blocks, labels) rows of each label in each block.
        extents: where they are; None: the file says so.
    """

    rows: NDArray[np.int64]
    labels: tuple[int | str | bool, ...]
    counts: NDArray[np.int64]
    extents: Extents | None = None

    @classmethod
    def of(
        cls, rows: Sequence[int], found: Sequence[tuple[list[Any], NDArray[np.int64]]], extents: Extents | None = None
    ) -> Survey:
        """The survey of blocks of so many rows, with what `unique_labels` found in each."""
        labels = sorted({one for these, _ in found for one in these})
        counts = np.zeros((len(rows), len(labels)), dtype=np.int64)
        for line, (these, numbers) in zip(counts, found, strict=True):
            line[np.searchsorted(labels, these)] = numbers
        return cls(np.array(rows, dtype=np.int64), tuple(labels), counts, extents)


class BlockReader(Reader, Protocol):
    """A file format whose files consist of blocks that can be read alone. Safe to use in several threads."""

    def describe(self) -> dict[str, Any]:
        """What it reads, as plain data: the format, and what it takes from a file."""
        ...

    def survey(self, location: Location) -> Survey:
        """The blocks of a file.

        Raises:
            DataError: the file is not of this format, or lacks a column.
        """
        ...

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        """16 bytes for each of some blocks of a file, which identify what it holds: names, types and stored bytes."""
        ...

    def read_block(
        self,
        location: Location,
        number: int,
        state: FileState,
        rows: int,
        *,
        inputs: bool = True,
        extents: Extents | None = None,
    ) -> Iterator[Table]:
        """The rows of a block in their order, in pieces.

        Args:
            state: of the file, as it is now.
            rows: of a piece, at the most.
            inputs: whether to read them; without, the tables' inputs are empty.
            extents: as its survey gave them.
        """
        ...


def unique_labels(labels: NDArray[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    """The labels that occur, ascending, and how often; labels are numbers or text."""
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    found, counts = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_counts=True)
    return found.tolist(), counts.astype(np.int64)
