"""What a file format does so that its files are read by blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.tables import Reader, Table
from strategies.objectives.objective import TargetKind

Found = tuple[list[tuple[Any, Any]], NDArray[np.int64]]
"""The groups and labels that occur in a block, (group, label) each, ascending, and how often; without groups, None."""


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
        labels: the labels that occur in the file; one, 0, where targets are not classes.
        counts: (blocks, labels) rows of each label in each block.
        groups: of rows that are divided into experiences, the group of each of `labels`, which may then occur several
            times; None: they are not divided.
        extents: where they are; None: the file says so.
    """

    rows: NDArray[np.int64]
    labels: tuple[int | str | bool, ...]
    counts: NDArray[np.int64]
    extents: Extents | None = None
    groups: tuple[Any, ...] | None = None

    @classmethod
    def of(cls, rows: Sequence[int], found: Sequence[Found], extents: Extents | None = None) -> Survey:
        """The survey of blocks of so many rows, with what `found_labels` found in each."""
        divided = any(group is not None for these, _ in found for group, _ in these)
        every = {one for these, _ in found for one in these}
        pairs = sorted(every) if divided else [(None, label) for label in sorted(label for _, label in every)]
        place = {pair: number for number, pair in enumerate(pairs)}
        counts = np.zeros((len(rows), len(pairs)), dtype=np.int64)
        for line, (these, numbers) in zip(counts, found, strict=True):
            line[[place[one] for one in these]] = numbers
        groups = tuple(group for group, _ in pairs) if divided else None
        return cls(np.array(rows, dtype=np.int64), tuple(label for _, label in pairs), counts, extents, groups)


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


def found_labels(labels: NDArray[Any], kind: TargetKind = "classes", groups: NDArray[Any] | None = None) -> Found:
    """The labels that occur, within each group, and how often; labels that are no classes count as 0.

    Args:
        labels: (n,), numbers or text, or (n, k).
        groups: (n,); None: rows are not divided.
    """
    numbers = np.zeros(len(labels), dtype=np.int64)
    named: list[Any] = [0]
    if kind == "classes":
        named, _, numbers = unique_labels(labels)
    if groups is None:
        counts = np.bincount(numbers, minlength=len(named)) if len(labels) else np.zeros(0, dtype=np.int64)
        return [(None, label) for label in named[: len(counts)]], counts.astype(np.int64)
    of, _, group = unique_labels(groups)
    pairs, counts = np.unique(group * len(named) + numbers, return_counts=True)
    return [(of[pair // len(named)], named[pair % len(named)]) for pair in pairs.tolist()], counts.astype(np.int64)


def unique_labels(labels: NDArray[Any]) -> tuple[list[Any], NDArray[np.int64], NDArray[np.int64]]:
    """The labels that occur, ascending, how often, and which each row has, (n,); labels are numbers or text."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    found, places, counts = np.unique(
        labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True, return_counts=True
    )
    return found.tolist(), counts.astype(np.int64), places
