"""Which samples make up each global batch, and which of them each rank takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from strategies.loop.process_group import Group
from strategies.loop.seeded_random import generator


@lru_cache(maxsize=2)
def _permutation(n: int, seed: int, experience: int, epoch: int) -> Tensor:
    return torch.from_numpy(generator(seed, "order", experience, epoch).permutation(n))


@dataclass(frozen=True)
class SampleOrder:
    """The order of the samples of one experience: one seeded permutation for each epoch.

    With `epochs`, the samples left at the end of an epoch are a smaller batch (`keep`), left out (`drop`), or added to
    the batch before (`merge`); an experience of less than a batch is one batch. With `steps`, a batch may span two
    permutations, so that every batch is full.

    Attributes:
        n: samples in the training set, at least 1.
        batch_size: samples in a global batch.
        epochs, steps: how long; exactly one is given.
        seed, experience: what the permutations are drawn from.
        last_batch: keep, drop or merge.
    """

    n: int
    batch_size: int
    epochs: int | None
    steps: int | None
    seed: int
    experience: int
    last_batch: str = "keep"

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("exactly one of epochs and steps must be given")
        if self.n < 1:
            raise ValueError("an experience needs at least one training sample")

    def __len__(self) -> int:
        """Optimiser steps in the experience."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * self._steps_per_epoch

    @property
    def _steps_per_epoch(self) -> int:
        if self.last_batch == "keep":
            return -(-self.n // self.batch_size)
        return max(1, self.n // self.batch_size)

    def spans(self, step: int) -> list[tuple[int, int, int]]:
        """Which samples of which epochs make up the global batch at `step`: (epoch, first, end), each."""
        if self.steps is None:
            epoch, within = divmod(step, self._steps_per_epoch)
            start = within * self.batch_size
            return [(epoch, start, start + self.size(step))]
        found, need, start = [], self.batch_size, step * self.batch_size
        while need:
            epoch, offset = divmod(start, self.n)
            count = min(need, self.n - offset)
            found.append((epoch, offset, offset + count))
            need -= count
            start += count
        return found

    def batch(self, step: int) -> Tensor:
        """Positions of the samples of the global batch at `step`, (b,) int64."""
        parts = [self._permutation(epoch)[start:end] for epoch, start, end in self.spans(step)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def share(self, group: Group, step: int) -> slice:
        """Which samples of the global batch at `step` this rank takes; the shares of all ranks make up the batch."""
        return group.share(self.size(step))

    def _permutation(self, epoch: int) -> Tensor:
        return _permutation(self.n, self.seed, self.experience, epoch)

    def size(self, step: int) -> int:
        """Samples in the global batch at `step`."""
        if self.steps is not None:
            return self.batch_size
        within, left = step % self._steps_per_epoch, self.n - step % self._steps_per_epoch * self.batch_size
        merges = self.last_batch == "merge" and within == self._steps_per_epoch - 1
        return left if merges else min(self.batch_size, left)

    @property
    def smallest(self) -> int:
        """Samples in the smallest batch."""
        return min(self.size(0), self.size(len(self) - 1))

    def shares(self, group: Group, start: int = 0) -> Iterator[Tensor]:
        """This rank's positions in each global batch, from step `start` on."""
        alone = group.size == 1
        for step in range(start, len(self)):
            batch = self.batch(step)
            yield batch if alone else batch[group.share(len(batch))]
