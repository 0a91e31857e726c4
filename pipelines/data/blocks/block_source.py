"""The blocks of one experience, and how to read one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_index import BlockIndex, IndexedFile, no_collection
from pipelines.data.blocks.block_reader import BlockReader, Extents
from pipelines.data.blocks.patience import patiently
from pipelines.data.blocks.table_content import BlockFeatures
from pipelines.data.datasets.label_columns import LabelColumns
from pipelines.data.datasets.labels import LabelMap, id_numbers
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.samples import TensorSamples

BLOCK = np.dtype([("file", "<u4"), ("number", "<u4"), ("rows", "<u8"), ("hash", "V16")])
"""A block in memory: 32 bytes. `number` counts within its file."""


PIECE_BYTES = 2**23
"""Of the inputs of a block that are decoded at a time. Smaller pieces stay in the processor's cache, but what is done
once for each takes longer than that saves: 2 MB at a time took a fifth more CPU time."""
COPIED_BYTES = 2**20
"""Of the inputs of a piece that are selected at a time, so that their copy stays in the processor's cache."""
_PIECE = 64
_ROWS = 16_384


@dataclass(frozen=True)
class InputKind:
    """What all inputs have in common.

    Attributes:
        shape, dtype: of one input.
        target_shape, target_dtype: of one target.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    target_shape: tuple[int, ...] = ()
    target_dtype: torch.dtype = torch.int64

    @property
    def bytes(self) -> int:
        """Of one input."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def target_bytes(self) -> int:
        """Of one target."""
        return math.prod(self.target_shape) * self.target_dtype.itemsize

    @classmethod
    def of(cls, samples: TensorSamples) -> InputKind:
        """What some samples have in common."""
        targets = samples.targets
        return cls(samples.input_shape, samples.dtype, tuple(targets.shape[1:]), targets.dtype)


@dataclass(frozen=True)
class Outline:
    """The rows of a block without their inputs.

    Attributes:
        ids: (n,) int64.
        strata: (n,) int64: the class of each row, or 0 where targets are no classes; -1 for rows of other groups.
        targets: (n,) class numbers, or (n, k) columns.
    """

    ids: NDArray[np.int64]
    strata: NDArray[np.int64]
    targets: NDArray[Any]


class BlockSource:
    """The blocks of one experience: the rows that are divided into a training and a test set, or one of both.

    Attributes:
        blocks: (n,) `BLOCK`.
        counts: (n, classes) uint32: rows of each class in each block; (n, 1) where targets are no classes.
        labels: from labels to targets.
        id_base: the id of the first row, of rows without ids.
        group: the rows that belong to it: those whose value of the column `dataset.by` it is; None: all.
        indexed: the index, and its files that these blocks are of; None: it is in another process.
    """

    def __init__(
        self,
        reader: BlockReader,
        options: TableFiles,
        files: Sequence[IndexedFile],
        labels: LabelMap | LabelColumns,
        index: BlockIndex,
        id_base: int = 0,
        group: Any = None,
    ) -> None:
        self._reader, self._options = reader, options
        with no_collection():
            self._files: list[tuple[Location, FileState]] = [(file.location, file.state) for file in files]
            self._extents: list[Extents | None] = [file.extents for file in files]
        self.indexed: tuple[BlockIndex, Sequence[IndexedFile]] | None = (index, files)
        self._hashed = False
        self._known_by: NDArray[np.void] | None = None
        self.labels, self.id_base, self.group = labels, id_base, group
        self.columns = isinstance(labels, LabelColumns)
        self.kind: InputKind | None = None
        self.blocks = np.zeros(sum(len(file.rows) for file in files), dtype=BLOCK)
        self.counts = np.zeros((len(self.blocks), 1 if self.columns else labels.count), dtype=np.uint32)
        sizes = np.array([len(file.rows) for file in files], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        self.blocks["file"] = np.repeat(np.arange(len(files)), sizes)
        self.blocks["number"] = np.arange(len(self.blocks)) - np.repeat(starts[:-1], sizes)
        if len(files):
            self.blocks["rows"] = np.concatenate([file.rows for file in files])
        known: dict[Any, tuple[NDArray[np.int64], NDArray[np.int64], bool]] = {}  # most files have the same labels
        for at, stop, file in zip(starts.tolist(), starts[1:].tolist(), files, strict=False):
            held = file.labels, file.groups, type(file.labels[0] if file.labels else None)
            if held not in known:
                known[held] = self._classes(file)
            chosen, classes, apart = known[held]
            if apart:
                self.counts[at:stop, classes] = file.counts[:, chosen]
            else:
                np.add.at(self.counts, (np.arange(at, stop)[:, None], classes[None]), file.counts[:, chosen])
        self.first = np.concatenate([[0], np.cumsum(self.blocks["rows"].astype(np.int64))])

    def _classes(self, file: IndexedFile) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
        """Which of a file's labels are those of the group, the class of each, and whether these are all different."""
        chosen = np.arange(len(file.labels))
        if self.group is not None:
            chosen = np.array([at for at, one in enumerate(file.groups or ()) if one == self.group], dtype=np.int64)
        classes = np.zeros(len(chosen), dtype=np.int64)
        if isinstance(self.labels, LabelMap):
            classes = self.labels.numbers(np.array([file.labels[one] for one in chosen]), file.location.path)
        return chosen, classes, len(set(classes.tolist())) == len(classes)

    @property
    def input_kind(self) -> InputKind:
        """The shape and dtype of an input: those of the first block, unless `kind` was set."""
        if self.kind is None:
            first = patiently(lambda: next(self.pieces(0)))
            self.kind = InputKind.of(first)
        return self.kind

    def describe(self) -> dict[str, Any]:
        """What is read from the files, as plain data."""
        shape = self._options.shape
        features = self.features
        fitted = None if features is None else features.preprocessing
        return self._reader.describe() | {
            "shape": None if shape is None else list(shape),
            "channels": self._options.channels,
            **({} if fitted is None else {"preprocessing": fitted.digest}),
            **({} if self.group is None else {"group": self.group}),
        }

    @property
    def features(self) -> BlockFeatures | None:
        """What makes inputs of the columns of a table; None: nothing."""
        found: BlockFeatures | None = getattr(self._reader, "features", None)
        return found

    def tables(self, block: int) -> Iterator[tuple[Any, str, int]]:
        """All rows of a block of a table as arrow tables: each, where it is, and the number of its first row there.

        Raises:
            DataError: as `pieces`, beside values that cannot be inputs.
        """
        location, number, state, place = self._checked(block)
        reader, done = self._reader, 0
        extents = self._extents[self.blocks[block]["file"]]
        for table in reader.tables(location, number, state, _ROWS, extents=extents):  # type: ignore[attr-defined]
            yield table, place.path, done
            done += len(table)

    def hashes(self) -> NDArray[np.void]:
        """(n,) the content hashes of the blocks; computed where the index was made, and known to whom it is sent."""
        if not self._hashed and self.indexed is not None:
            index, files = self.indexed
            found = [file.hashes for file in index.hashed(files)]
            self.blocks["hash"] = np.concatenate([one for one in found if one is not None]).view("V16")[:, 0]
            self._known_by = self._carried(index.hashed(files))
            self._hashed = True
        return self.blocks["hash"]

    def known_by(self) -> NDArray[np.void]:
        """(n,) the hashes by which the blocks are known in this experience: those that they had when they last got rows
        of it, where a file has grown since."""
        hashes = self.hashes()
        return hashes if self._known_by is None else self._known_by

    def _carried(self, files: Sequence[IndexedFile]) -> NDArray[np.void] | None:
        found, start = None, 0
        for file in files:
            for one in file.carried:
                if one.group == self.group:
                    found = self.blocks["hash"].copy() if found is None else found
                    found[start + one.block] = np.void(one.hash)
            start += len(file.rows)
        return found

    def pieces(self, block: int) -> Iterator[TensorSamples]:
        """All rows of a block in their order, some at a time; targets are class numbers.

        Raises:
            DataError: the file is gone or has changed, or the block does not hold what inputs, labels and ids may be.
        """
        location, number, state, place = self._checked(block)
        done, rows = 0, int(self.blocks[block]["rows"])
        size = _PIECE if self.kind is None else _rows_at_once(rows, self.kind.bytes)
        extents = self._extents[self.blocks[block]["file"]]
        for table in self._reader.read_block(location, number, state, size, extents=extents):
            here = place if not done else Location(f"{place.path}, from row {done} on")
            id_base = int(self.id_base + self.first[block]) + done
            found = self._options.samples(table, self.labels, here, id_base)
            if self.kind is not None and InputKind.of(found) != self.kind:
                raise DataError(
                    f"{place.path}: its inputs are {found.input_shape} {found.dtype}, but those of the first block are "
                    f"{self.kind.shape} {self.kind.dtype}"
                )
            done += len(found)
            yield found
        if done != rows:
            raise DataError(f"{place.path}: has {done} rows, where it had {rows}")

    def outline(self, block: int) -> Outline:
        """Ids and targets of all rows of a block, read without the inputs. Raises DataError."""
        location, number, state, place = self._checked(block)
        entry = self.blocks[block]
        extents = self._extents[entry["file"]]
        read = self._reader.read_block(location, number, state, int(entry["rows"]), inputs=False, extents=extents)
        (table,) = read
        if table.ids is None:
            ids = np.arange(len(table.labels)) + int(self.id_base + self.first[block])
        else:
            ids = id_numbers(table.ids, place.path)
        targets = self.labels.numbers(table.labels, place.path)
        strata = np.zeros(len(targets), dtype=np.int64) if self.columns else targets
        if self.group is not None:
            assert table.groups is not None
            strata = np.where(table.groups == self.group, strata, -1)
        return Outline(ids, strata, targets)

    def strata(self, block: int, targets: NDArray[Any] | None = None) -> NDArray[np.int64]:
        """(n,) int64, as in `Outline`.

        Args:
            targets: of the first rows of the block; where they say it of all rows, nothing is read. Raises DataError.
        """
        known = targets is not None and len(targets) == self.blocks["rows"][block] and self.group is None
        if targets is None or not known or self.columns:
            return self.outline(block).strata
        return targets

    def _checked(self, block: int) -> tuple[Location, int, FileState, Location]:
        """Where a block is, and that its file is what it was: by size and time, else by the block's hash."""
        entry = self.blocks[block]
        location, state = self._files[entry["file"]]
        number = int(entry["number"])
        place = Location(f"{location.path}, block {number}")
        extents = self._extents[entry["file"]]
        if hasattr(self._reader, "block_state"):
            now = self._reader.block_state(location, number, state, extents)
        else:
            (now,) = states([location])
        if now != state and (now.bytes != state.bytes or not self._same(location, entry)):
            size = f"it has {now.bytes:,} bytes, and had {state.bytes:,}" if now.bytes != state.bytes else "its content"
            raise DataError(
                f"{place.path}: the file has changed since this run looked at it ({size}). Put it back, or start the "
                "run again: what changed is then another experience"
            )
        return location, number, now, place

    def _same(self, location: Location, entry: Any) -> bool:
        if not self._hashed:
            return False
        (found,) = self._reader.hashes(location, [int(entry["number"])], self._extents[entry["file"]])
        return bool(found == entry["hash"].tobytes())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "indexed": None}


def _rows_at_once(rows: int, row_bytes: int) -> int:
    return min(rows, max(1, PIECE_BYTES // max(1, row_bytes)))
