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
from pipelines.data.blocks.block_index import BlockIndex, IndexedFile
from pipelines.data.blocks.block_reader import BlockReader, Extents
from pipelines.data.datasets.labels import LabelMap, id_numbers
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.samples import TensorSamples

BLOCK = np.dtype([("file", "<u4"), ("number", "<u4"), ("rows", "<u8"), ("hash", "V16")])
"""A block in memory: 32 bytes. `number` counts within its file."""


WHOLE_BYTES = 2**23
"""Of the inputs of a block that is decoded at once."""
PIECE_BYTES = 2**21
"""Of the inputs of a larger one that are decoded at a time: they stay in the processor's cache."""
_PIECE = 64


@dataclass(frozen=True)
class InputKind:
    """What all inputs have in common.

    Attributes:
        shape, dtype: of one input.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Of one input."""
        return math.prod(self.shape) * self.dtype.itemsize


class BlockSource:
    """The blocks of one experience: the rows that are divided into a training and a test set, or one of both.

    Attributes:
        blocks: (n,) `BLOCK`.
        counts: (n, classes) uint32: rows of each class in each block.
        labels: from labels to class numbers.
        id_base: the id of the first row, of rows without ids.
    """

    def __init__(
        self,
        reader: BlockReader,
        options: TableFiles,
        files: Sequence[IndexedFile],
        labels: LabelMap,
        index: BlockIndex,
        id_base: int = 0,
    ) -> None:
        self._reader, self._options = reader, options
        self._files: list[tuple[Location, FileState]] = [(file.location, file.state) for file in files]
        self._extents: list[Extents | None] = [file.extents for file in files]
        self._indexed: tuple[BlockIndex, Sequence[IndexedFile]] | None = (index, files)
        self._hashed = False
        self.labels, self.id_base = labels, id_base
        self.kind: InputKind | None = None
        self.blocks = np.zeros(sum(len(file.rows) for file in files), dtype=BLOCK)
        self.counts = np.zeros((len(self.blocks), labels.count), dtype=np.uint32)
        at = 0
        for number, file in enumerate(files):
            part = slice(at, at + len(file.rows))
            self.blocks[part]["file"], self.blocks[part]["number"] = number, np.arange(len(file.rows))
            self.blocks[part]["rows"] = file.rows
            classes = labels.numbers(np.array(file.labels), file.location.path)
            np.add.at(self.counts, (np.arange(part.start, part.stop)[:, None], classes[None]), file.counts)
            at = part.stop
        self.first = np.concatenate([[0], np.cumsum(self.blocks["rows"].astype(np.int64))])

    @property
    def input_kind(self) -> InputKind:
        """The shape and dtype of an input: those of the first block, unless `kind` was set."""
        if self.kind is None:
            first = next(self.pieces(0))
            self.kind = InputKind(first.input_shape, first.dtype)
        return self.kind

    def describe(self) -> dict[str, Any]:
        """What is read from the files, as plain data."""
        shape = self._options.shape
        return self._reader.describe() | {
            "shape": None if shape is None else list(shape),
            "channels": self._options.channels,
        }

    def hashes(self) -> NDArray[np.void]:
        """(n,) the content hashes of the blocks; computed where the index was made, and known to whom it is sent."""
        if not self._hashed and self._indexed is not None:
            index, files = self._indexed
            found = [file.hashes for file in index.hashed(files)]
            self.blocks["hash"] = np.concatenate([one for one in found if one is not None]).view("V16")[:, 0]
            self._hashed = True
        return self.blocks["hash"]

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
            if self.kind is not None and (found.input_shape, found.dtype) != (self.kind.shape, self.kind.dtype):
                raise DataError(
                    f"{place.path}: its inputs are {found.input_shape} {found.dtype}, but those of the first block are "
                    f"{self.kind.shape} {self.kind.dtype}"
                )
            done += len(found)
            yield found
        if done != rows:
            raise DataError(f"{place.path}: has {done} rows, where it had {rows}")

    def labelled(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and class numbers of all rows of a block, (rows,), read without the inputs. Raises DataError."""
        location, number, state, place = self._checked(block)
        entry = self.blocks[block]
        extents = self._extents[entry["file"]]
        read = self._reader.read_block(location, number, state, int(entry["rows"]), inputs=False, extents=extents)
        (table,) = read
        if table.ids is None:
            ids = np.arange(len(table.labels)) + int(self.id_base + self.first[block])
        else:
            ids = id_numbers(table.ids, place.path)
        return ids, self.labels.numbers(table.labels, place.path)

    def _checked(self, block: int) -> tuple[Location, int, FileState, Location]:
        """Where a block is, and that its file is what it was: by size and time, else by the block's hash."""
        entry = self.blocks[block]
        location, state = self._files[entry["file"]]
        number = int(entry["number"])
        place = Location(f"{location.path}, block {number}")
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
        return {**self.__dict__, "_indexed": None}


def _rows_at_once(rows: int, row_bytes: int) -> int:
    return rows if rows * row_bytes <= WHOLE_BYTES else max(1, PIECE_BYTES // row_bytes)
