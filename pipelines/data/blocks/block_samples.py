"""Samples over blocks: the rows of some classes, for training or for testing, read block by block."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.batch_memory import Places
from pipelines.data.blocks.block_index import BlockIndex, IndexedFile
from pipelines.data.blocks.block_rows import Rows
from pipelines.data.blocks.block_source import COPIED_BYTES, BlockSource
from pipelines.data.blocks.blockwise import Blockwise
from pipelines.data.blocks.joined_blocks import JoinedBlocks
from pipelines.data.blocks.lane_reader import LaneReader
from pipelines.data.blocks.patience import patiently
from pipelines.data.blocks.read_ahead import THREADS, read_ahead
from pipelines.data.blocks.row_selection import held_out, held_out_counts
from pipelines.data.datasets.labels import LabelMap
from pipelines.data.samples import InputTransform
from strategies.api.data import Samples
from strategies.loop.lane_order import LaneOrder
from strategies.loop.process_group import Group

Part = Literal["train", "test", "all"]

FEW = 16
"""Samples at the beginning that stay in memory once they are asked for."""


class BlockSamples(Blockwise):
    """Samples that are read when they are needed; a few blocks of them are in memory at a time.

    Positions count through the selected rows of all blocks. `ids` and `targets` read the labels of all blocks, and
    hold them; what learns from large data uses `labelled` and `target_counts` instead.

    Attributes:
        block_sizes: (blocks,) int64, the selected rows of each block that has any.
    """

    def __init__(
        self,
        source: BlockSource,
        part: Part = "all",
        fraction: float = 0.0,
        units: NDArray[np.int64] | None = None,
        id_base: int = 0,
        transforms: tuple[InputTransform, ...] = (),
    ) -> None:
        """
        Args:
            part: the rows that are not held out, those that are, or all.
            fraction: of each class's rows that is held out.
            units: (classes,) the target of each class, -1 for classes that are left out; None: class numbers.
            id_base: added to the ids.
            transforms: of inputs, in their order.
        """
        self._source, self._part, self._fraction = source, part, fraction
        self._units, self._id_base, self._transforms = units, id_base, transforms
        counts = source.counts.astype(np.int64)
        self._held_out = None if part == "all" else held_out_counts(source.counts, fraction)
        if self._held_out is not None:
            counts = self._held_out if part == "test" else counts - self._held_out
        chosen = counts if units is None else counts[:, units >= 0]
        rows = chosen.sum(axis=1)
        self._blocks = np.flatnonzero(rows)
        self.block_sizes: NDArray[np.int64] = rows[self._blocks]
        self._class_counts = counts.sum(axis=0)
        self._starts = np.concatenate([[0], np.cumsum(self.block_sizes)])
        self._first_rows: Rows | None = None

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._source.input_kind.shape

    @property
    def dtype(self) -> torch.dtype:
        """The stored dtype of the inputs."""
        return self._source.input_kind.dtype

    @property
    def row_bytes(self) -> int:
        """Bytes of an input, and of what a target takes beside 8."""
        kind = self._source.input_kind
        return kind.bytes + max(0, kind.target_bytes - 8)

    @property
    def indexed(self) -> tuple[BlockIndex, Sequence[IndexedFile]] | None:
        """The index and its files that these are of; None: it is not here."""
        return self._source.indexed

    @property
    def columns(self) -> bool:
        return self._source.columns

    @property
    def largest_block(self) -> int:
        """Rows of the largest block, with those that are not selected."""
        return int(self._source.blocks["rows"].max(initial=0))

    @property
    def content_fingerprint(self) -> str | None:
        return None

    @property
    def ids(self) -> Tensor:
        return torch.cat([ids for ids, _ in self.labelled()])

    @property
    def targets(self) -> Tensor:
        return torch.cat([targets for _, targets in self.labelled()])

    def labelled(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids, (n,) int64, and targets, (n,) or (n, k), block by block, read without the inputs."""
        with ThreadPoolExecutor(THREADS) as pool:
            for ids, targets in read_ahead(pool, self._labels, range(len(self._blocks))):
                yield torch.from_numpy(ids), torch.from_numpy(targets)

    def target_counts(self, outputs: int) -> Tensor:
        """(outputs,) int64: how many samples have each target."""
        counts = torch.zeros(outputs, dtype=torch.int64)
        for number, rows in enumerate(self._class_counts.tolist()):
            unit = number if self._units is None else int(self._units[number])
            if unit >= 0:
                counts[unit] += rows
        return counts

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """As `Samples.take`; every block in which a position lies is read once."""
        inputs, targets, _ = self.take_with_ids(index)
        return inputs, targets

    def take_with_ids(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and ids of the samples at the positions `index`, (m,) int64."""
        made = self.empty_rows(len(index))
        if len(index) and int(index.max()) < min(FEW, int(self.block_sizes[0])):
            # A few samples are often asked for, as an example of the inputs.
            if self._first_rows is None:
                self._first_rows = patiently(self._few)
            made.put(np.arange(len(index)), self._first_rows, index.numpy())
            return made.tensors()
        blocks = self._block_of(index)
        wanted = np.unique(blocks).tolist()
        with ThreadPoolExecutor(THREADS) as pool:
            for block, rows in zip(wanted, read_ahead(pool, self.rows, wanted), strict=True):
                where = np.flatnonzero(blocks == block)
                made.put(where, rows, index.numpy()[where] - self._starts[block])
        return made.tensors()

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Samples.batches`; positions that ascend from batch to batch read every block once, and ahead."""
        waiting: deque[tuple[Tensor, NDArray[np.int64], list[int]]] = deque()
        reading: deque[tuple[int, Future[Rows]]] = deque()
        coming = self._needed(indices, waiting)
        at_hand, rows = -1, self.empty_rows(0)
        with ThreadPoolExecutor(THREADS) as pool:

            def submit() -> None:
                while len(reading) <= THREADS and (block := next(coming, None)) is not None:
                    reading.append((block, pool.submit(self.rows, block)))

            try:
                while True:
                    submit()
                    if not waiting:
                        return
                    index, blocks, wanted = waiting.popleft()
                    made = self.empty_rows(len(index))
                    for block in wanted:
                        if block != at_hand:
                            submit()
                            at_hand, future = reading.popleft()
                            rows = future.result()
                        where = np.flatnonzero(blocks == block)
                        made.put(where, rows, index.numpy()[where] - self._starts[block])
                    inputs, targets, _ = made.tensors()
                    yield inputs, targets
            finally:
                pool.shutdown(cancel_futures=True)

    def _needed(
        self, indices: Iterable[Tensor], waiting: deque[tuple[Tensor, NDArray[np.int64], list[int]]]
    ) -> Iterator[int]:
        """The blocks that batches need, one after the other; each batch is put into `waiting` with its blocks."""
        last = -1
        for index in indices:
            blocks = self._block_of(index)
            wanted = np.unique(blocks).tolist()
            waiting.append((index, blocks, wanted))
            for block in wanted:
                if block != last:
                    last = block
                    yield block

    def lane_batches(self, order: LaneOrder, group: Group, start: int = 0) -> LaneReader:
        """This rank's share of the batches of an order, from step `start` on (see `LaneReader`)."""
        return LaneReader(self, order, group, start, threads=THREADS)

    def rows(self, block: int) -> Rows:
        """The selected rows of a block, which counts among the blocks that have any. Safe in several threads."""
        made = self.empty_rows(int(self.block_sizes[block]))
        self.read_into(made, block, np.arange(len(made.ids)))
        return made

    def read_into(self, made: Places, block: int, places: NDArray[np.int64]) -> None:
        """Read the selected rows of a block and write each to its place, (rows,). Safe in several threads."""

        def read() -> None:
            done = 0
            for piece in self.pieces(block):
                made.put(places[done : done + len(piece.ids)], piece, slice(None))
                done += len(piece.ids)

        patiently(read)

    def pieces(self, block: int) -> Iterator[Rows]:
        """The same, some rows at a time."""
        number = int(self._blocks[block])
        at: NDArray[np.int64] | None = None
        done = 0
        for samples in self._source.pieces(number):
            inputs, targets, ids = samples.inputs(), samples.targets.numpy(), samples.ids.numpy()
            if not done:
                at = self._selected(number, targets)
            parts: list[Any] = [slice(None)]
            if at is not None:
                here = at[np.searchsorted(at, done) : np.searchsorted(at, done + len(samples))] - done
                size = max(1, COPIED_BYTES // max(1, self.row_bytes))
                parts = [here[start : start + size] for start in range(0, len(here), size)]
                targets = targets if self._units is None else self._units[targets]
            done += len(samples)
            for part in parts:
                found = inputs if at is None else inputs[torch.from_numpy(part)]
                for transform in self._transforms:
                    found = transform(found)
                yield Rows(found.numpy(), targets[part], ids[part] + self._id_base)

    def tables(self) -> Iterator[tuple[Any, NDArray[np.int64] | None, str, int]]:
        """All blocks of a table as arrow tables: each with its selected rows, (m,), or None for all, where it is, and
        the number of its first row there."""
        for number in self._blocks.tolist():
            at = self._selected(number)
            for table, where, first in self._source.tables(number):
                rows = None
                if at is not None:
                    rows = at[np.searchsorted(at, first) : np.searchsorted(at, first + len(table))] - first
                yield table, rows, where, first

    def fingerprint(self, transform: dict[str, Any] | None) -> str:
        """SHA-256 (hex) of the hashes of its blocks and of what selects rows and makes targets and ids."""
        labels = self._source.labels
        values = labels.values if isinstance(labels, LabelMap) else None
        header = {
            "format": "blocks 1",
            "part": self._part,
            "fraction": self._fraction if self._part != "all" else None,
            "units": None if self._units is None else self._units.tolist(),
            "labels": None if values is None else list(values),
            "ids": [self._source.id_base, self._id_base],
            "reader": self._source.describe(),
            "transform": transform,
        }
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        hashes = self._source.known_by()
        for block in self._blocks:
            place = np.array([block, self._source.first[block]], dtype="<i8")
            digest.update(place.tobytes() + hashes[block].tobytes())
        return digest.hexdigest()

    def of_classes(self, units: NDArray[np.int64] | None, id_base: int = 0) -> BlockSamples:
        """The samples of some classes of samples of all classes.

        Args:
            units: (classes,) the target of each class; -1 for those that are left out; None: as they are.
            id_base: added to the ids.
        """
        return BlockSamples(self._source, self._part, self._fraction, units, id_base, self._transforms)

    def transformed(self, transform: InputTransform) -> BlockSamples:
        """Transforms each block when it is read."""
        return BlockSamples(
            self._source, self._part, self._fraction, self._units, self._id_base, (*self._transforms, transform)
        )

    def joined(self, parts: Sequence[Samples], experiences: Sequence[int | Tensor]) -> JoinedBlocks:
        """As `strategies.api.data.BlockSamples.joined`."""
        return JoinedBlocks(parts, experiences, self.empty_rows)

    def subset(self, index: Tensor, targets: Tensor | None = None, ids: Tensor | None = None) -> BlockSamples:
        """Raises DataError: samples in lanes cannot be divided sample by sample."""
        raise DataError("stream.lanes: this divides the data sample by sample, which samples in lanes cannot be")

    def _labels(self, block: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        number = int(self._blocks[block])
        found = patiently(lambda: self._source.outline(number))
        at = self._chosen(number, found.strata)
        targets = found.targets[at]
        return found.ids[at] + self._id_base, targets if self._units is None else self._units[targets]

    def _selected(self, number: int, targets: NDArray[Any] | None = None) -> NDArray[np.int64] | None:
        """Which rows of a block of the source are selected, ascending; None: all. As `BlockSource.strata`."""
        if self._held_out is None and self._units is None and self._source.group is None:
            return None
        return self._chosen(number, self._source.strata(number, targets))

    def _chosen(self, number: int, strata: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which rows of a block are selected, ascending."""
        chosen = strata >= 0
        if self._held_out is not None:
            test = held_out(strata, self._held_out[number], number)
            chosen &= test if self._part == "test" else ~test
        if self._units is not None:
            chosen &= self._units[strata] >= 0
        return np.flatnonzero(chosen)

    def _block_of(self, index: Tensor) -> NDArray[np.int64]:
        return np.searchsorted(self._starts, index.numpy(), side="right") - 1

    def _few(self) -> Rows:
        """The first samples."""
        made = self.empty_rows(min(FEW, int(self.block_sizes[0])))
        done = 0
        for piece in self.pieces(0):
            count = min(len(piece.ids), len(made.ids) - done)
            made.put(slice(done, done + count), piece, slice(count))
            if (done := done + count) == len(made.ids):
                break
        return made

    def empty_rows(self, n: int) -> Rows:
        """Memory for n rows. Pages that nothing is written to cost nothing."""
        kind = self._source.input_kind
        inputs = torch.empty((n, *kind.shape), dtype=kind.dtype).numpy()
        targets = torch.empty((n, *kind.target_shape), dtype=kind.target_dtype).numpy()
        return Rows(inputs, targets, np.empty(n, dtype=np.int64))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_first_rows": None}
