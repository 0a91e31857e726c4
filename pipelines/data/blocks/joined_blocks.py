"""Samples of several experiences, and of a memory, one behind the other, read by blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.data.blocks.batch_memory import Places
from pipelines.data.blocks.block_rows import Rows
from pipelines.data.blocks.lane_reader import LaneReader
from pipelines.data.blocks.read_ahead import THREADS
from strategies.api.data import Samples, in_blocks, target_counts
from strategies.loop.lane_order import LARGEST_BLOCK, LaneOrder
from strategies.loop.process_group import Group


class Readable(Protocol):
    """Blocks that can be read into memory.

    Attributes:
        block_sizes: (blocks,) int64.
    """

    block_sizes: NDArray[np.int64]

    def read_into(self, made: Places, block: int, places: NDArray[np.int64]) -> None:
        """Read the rows of a block and write each to its place, (rows,). Safe in several threads."""
        ...


class JoinedBlocks:
    """Several sets of samples as one (see `strategies.api.data.BlockSamples`).

    Attributes:
        block_sizes: (blocks,) int64, of all parts, in their order.
        experiences: indexed by positions, (m,) int64, the experiences that these samples come from.
    """

    def __init__(
        self,
        parts: Sequence[Samples],
        experiences: Sequence[int | Tensor],
        empty_rows: Callable[[int], Rows],
    ) -> None:
        """
        Args:
            parts: read by blocks, or in memory.
            experiences: for each part one for all of its samples, or (n,) int64.
            empty_rows: memory for so many rows of any part.
        """
        self._parts = list(parts)
        self._blocks: list[Readable] = [part if in_blocks(part) else _InMemory(part) for part in parts]  # type: ignore[misc]
        self.block_sizes: NDArray[np.int64] = np.concatenate([one.block_sizes for one in self._blocks])
        self._first_blocks = np.concatenate([[0], np.cumsum([len(one.block_sizes) for one in self._blocks])])
        self._starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        self._empty_rows = empty_rows
        self.experiences = Origins(self._starts, experiences)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def ids(self) -> Tensor:
        return torch.cat([part.ids for part in self._parts])

    @property
    def targets(self) -> Tensor:
        return torch.cat([part.targets for part in self._parts])

    def labelled(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids and targets, block by block."""
        for part in self._parts:
            if in_blocks(part):
                yield from part.labelled()
            else:
                yield part.ids, part.targets

    def target_counts(self, outputs: int) -> Tensor:
        """(outputs,) int64: how many samples have each target."""
        return torch.stack([target_counts(part, outputs) for part in self._parts]).sum(0)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """As `Samples.take`; positions count through all parts."""
        inputs, targets, _ = self.take_with_ids(index)
        return inputs, targets

    def take_with_ids(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `take`, with the ids, (m,) int64."""
        part_of = np.searchsorted(self._starts, index.numpy(), side="right") - 1
        made: list[Tensor] = []
        for number in np.unique(part_of).tolist() or [0]:
            where = torch.from_numpy(np.flatnonzero(part_of == number))
            found = _take(self._parts[number], index[where] - int(self._starts[number]))
            made = made or [one.new_empty((len(index), *one.shape[1:])) for one in found]
            for whole, own in zip(made, found, strict=True):
                whole[where] = own
        inputs, targets, ids = made
        return inputs, targets, ids

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Samples.batches`, without reading ahead."""
        return map(self.take, indices)

    def read_into(self, made: Places, block: int, places: NDArray[np.int64]) -> None:
        """Read the rows of a block and write each to its place, (rows,). Safe in several threads."""
        part = int(np.searchsorted(self._first_blocks, block, side="right")) - 1
        self._blocks[part].read_into(made, block - int(self._first_blocks[part]), places)

    def lane_batches(self, order: LaneOrder, group: Group, start: int = 0) -> LaneReader:
        """This rank's share of the batches of an order, from step `start` on."""
        return LaneReader(self, order, group, start, threads=THREADS)

    def joined(self, parts: Sequence[Samples], experiences: Sequence[int | Tensor]) -> JoinedBlocks:
        """As `strategies.api.data.BlockSamples.joined`."""
        return JoinedBlocks(parts, experiences, self._empty_rows)

    def empty_rows(self, n: int) -> Rows:
        """Memory for n rows."""
        return self._empty_rows(n)


class Origins:
    """The experiences that samples come from, by their positions: without a number for each sample where it is the same
    for a whole part."""

    def __init__(self, starts: NDArray[np.int64], experiences: Sequence[int | Tensor]) -> None:
        """
        Args:
            starts: (parts + 1,) where each part begins.
            experiences: of each part.
        """
        self._starts, self._experiences = starts, list(experiences)

    def __getitem__(self, index: Tensor) -> Tensor:
        """(m,) int64 of positions, (m,) int64."""
        part_of = np.searchsorted(self._starts, index.numpy(), side="right") - 1
        found = torch.empty(len(index), dtype=torch.int64)
        for number in np.unique(part_of).tolist():
            where = torch.from_numpy(np.flatnonzero(part_of == number))
            own = self._experiences[number]
            found[where] = own[index[where] - int(self._starts[number])] if isinstance(own, Tensor) else own
        return found


class _InMemory:
    """Samples in memory, in blocks of `LARGEST_BLOCK` rows."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        full, rest = divmod(len(samples), LARGEST_BLOCK)
        self.block_sizes: NDArray[np.int64] = np.array([LARGEST_BLOCK] * full + [rest] * (rest > 0), dtype=np.int64)

    def read_into(self, made: Places, block: int, places: NDArray[np.int64]) -> None:
        start = block * LARGEST_BLOCK
        index = torch.arange(start, start + len(places))
        inputs, targets = self._samples.take(index)
        made.put(places, Rows(inputs.numpy(), targets.numpy(), self._samples.ids[index].numpy()), slice(None))


def _take(part: Samples, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if in_blocks(part):
        return part.take_with_ids(index)
    return (*part.take(index), part.ids[index])
