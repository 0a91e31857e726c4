"""A memory as samples to train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from strategies.memory.reservoir import Memory


class MemorySamples:
    """What a memory holds now (see `strategies.api.data.Samples`).

    Attributes:
        ids, targets: (n,) int64.
        experiences: (n,) int64, the experience each sample comes from.
    """

    def __init__(self, memory: Memory) -> None:
        self._inputs = memory.tensors["inputs"]
        self.ids = memory.tensors["ids"]
        self.targets = memory.tensors["targets"]
        self.experiences = memory.tensors["experiences"]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """As `Samples.take`."""
        return self._inputs.index_select(0, index), self.targets.index_select(0, index)

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Samples.batches`."""
        return map(self.take, indices)
