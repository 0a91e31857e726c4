"""What a file format does so that its files are read by blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.tables import Reader, Table


@dataclass(frozen=True)
class Survey:
    """The blocks of a file, as far as they are known without the inputs.

    Attributes:
        rows: (blocks,) rows of each.
        labels: the labels that occur in the file.
        counts: (blocks, labels) rows of each label in each block.
    """

    rows: NDArray[np.int64]
    labels: tuple[int | str | bool, ...]
    counts: NDArray[np.int64]


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

    def hashes(self, location: Location, numbers: Sequence[int]) -> list[bytes]:
        """16 bytes for each of some blocks of a file, which identify what it holds: names, types and stored bytes."""
        ...

    def read_block(
        self, location: Location, number: int, state: FileState, rows: int, *, inputs: bool = True
    ) -> Iterator[Table]:
        """The rows of a block in their order, in pieces.

        Args:
            state: of the file, as it is now.
            rows: of a piece, at the most.
            inputs: whether to read them; without, the tables' inputs are empty.
        """
        ...


def unique_labels(labels: NDArray[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    """The labels that occur, ascending, and how often; labels are numbers or text."""
    found, counts = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_counts=True)
    return found.tolist(), counts.astype(np.int64)
