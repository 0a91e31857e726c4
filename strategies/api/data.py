"""The data interfaces of the learning loop: samples, experiences and batches.

Pipelines implement `Samples` and `Experience`; strategies and the learner see only these protocols.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from strategies.loop.lane_order import LaneOrder
    from strategies.loop.process_group import Group


class Samples(Protocol):
    """A set of labelled samples with stable ids."""

    @property
    def ids(self) -> Tensor:
        """(n,) int64: unique within the stream, the same in every run."""
        ...

    @property
    def targets(self) -> Tensor:
        """The correct output unit for each sample, (n,) int64; or, by the objective, numbers or labels, (n, k)
        (`strategies.objectives.objective.TargetKind`)."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs in their stored dtype, (m, *shape), and targets, (m, ...), at the positions `index`, (m,) int64."""
        ...

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """One `take` for each index tensor, in order; may read ahead."""
        ...


class BlockSamples(Samples, Protocol):
    """Samples that may be more than fit into memory: they are read by blocks, in runs of positions.

    `ids` and `targets` are those of all samples, and cost as much memory. What learns from such samples uses the
    methods below instead.

    Attributes:
        block_sizes: (blocks,) int64 array; positions count through the blocks.
    """

    block_sizes: NDArray[np.int64]

    def labelled(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids and targets, (n,) int64 each, block by block."""
        ...

    def target_counts(self, outputs: int) -> Tensor:
        """(outputs,) int64: how many samples have each target."""
        ...

    def take_with_ids(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `take`, with the ids, (m,) int64."""
        ...

    def lane_batches(self, order: LaneOrder, group: Group, start: int = 0) -> LaneBatches:
        """This rank's share of the batches of an order, from step `start` on."""
        ...

    def joined(self, parts: Sequence[Samples], experiences: Sequence[int | Tensor]) -> Samples:
        """Several sets of samples, in blocks or in memory, one behind the other, read by blocks.

        Args:
            parts: at least one.
            experiences: for each part the experience that it comes from: one for the part, or (n,) int64.

        Returns:
            Samples whose attribute `experiences` gives, indexed by positions, (m,) int64, the experiences of these.
        """
        ...


class LaneBatches(Protocol):
    """Inputs in stored dtype and targets of each batch, one after the other.

    Attributes:
        ids: (n,) int64, of the last one.
    """

    ids: Tensor

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...


def in_blocks(samples: Samples) -> TypeGuard[BlockSamples]:
    """Whether samples are read by blocks, and may be more than fit into memory."""
    return hasattr(type(samples), "lane_batches")


def target_counts(samples: Samples, outputs: int) -> Tensor:
    """(outputs,) int64: how many samples have each target."""
    if in_blocks(samples):
        return samples.target_counts(outputs)
    return torch.bincount(samples.targets.cpu(), minlength=outputs)


def target_units(samples: Samples, outputs: int) -> Tensor:
    """The units that occur as targets, ascending int64, where targets are classes."""
    return target_counts(samples, outputs).nonzero().flatten()


def in_chunks(share: slice, size: int) -> Iterator[Tensor]:
    """The positions of a share, ascending, at most `size` at a time: never all of them at once."""
    for start in range(share.start, share.stop, size):
        yield torch.arange(start, min(start + size, share.stop))


class Experience(Protocol):
    """One step of the stream."""

    @property
    def index(self) -> int:
        """Position in the stream, from 0."""
        ...

    @property
    def task(self) -> int:
        """Task label."""
        ...

    @property
    def classes(self) -> tuple[int, ...]:
        """The data set's classes that occur in it."""
        ...

    @property
    def outputs(self) -> tuple[int, ...] | None:
        """The active classes, as output units (task-incremental), or None: all of them."""
        ...

    @property
    def train(self) -> Samples: ...

    @property
    def test(self) -> Samples: ...


@dataclass(frozen=True)
class Places:
    """Positions of one rank's samples in the global batch, where samples added by strategies come last.

    Attributes:
        index: (n,) int64, ascending.
        rank, ranks: the rank that has this share, and the number of ranks.
    """

    index: Tensor
    rank: int
    ranks: int

    @classmethod
    def first(cls, size: int, rank: int, ranks: int) -> Places:
        """The places of a rank's share of `size` samples (`Group.share`)."""
        return cls(torch.arange(size * rank // ranks, size * (rank + 1) // ranks), rank, ranks)

    def joined(self, before: int, added: int) -> Places:
        """These places and those of the rank's share of `added` samples, which follow `before` samples of all ranks."""
        more = Places.first(added, self.rank, self.ranks).index + before
        return replace(self, index=torch.cat([self.index, more]))


@dataclass(frozen=True)
class Batch:
    """This rank's share of one global batch.

    The loss of the global batch is sum(weights * loss) / total_weight over the samples of all ranks; each rank
    contributes its own terms of that sum, so that the result does not depend on the number of ranks.

    Attributes:
        inputs: (n, *shape) float, on the learner's device.
        targets: as in `Samples`.
        experiences: (n,) int64: the experience each sample comes from.
        weights: (n,) float, or None when every sample counts 1.
        total_weight: the divisor of the weighted sum, usually the sum of the weights over all ranks.
        current: the first `current` samples are of the experience being learned, the rest was added by strategies.
        total_samples: samples of the global batch, over all ranks.
        extra: further per-sample tensors by name, (n, ...), put there by strategies (stored logits, say).
        total_current: `current` summed over all ranks.
        places: positions of its samples in the global batch, or None where they are not needed.
        share: which of these `total_current` samples the first `current` are; None: this rank's `Group.share` of them.
    """

    inputs: Tensor
    targets: Tensor
    experiences: Tensor
    weights: Tensor | None
    total_weight: float
    current: int
    total_samples: int
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    total_current: int = 0
    places: Places | None = None
    share: slice | None = None

    def __len__(self) -> int:
        return int(self.targets.shape[0])

    def mean(self, per_sample: Tensor) -> Tensor:
        """This rank's part of the global weighted mean of `per_sample`, (n,): the parts of all ranks add up to it."""
        if self.weights is not None:
            per_sample = per_sample * self.weights
        return per_sample.sum() / self.total_weight

    def joined(
        self,
        inputs: Tensor,
        targets: Tensor,
        experiences: Tensor,
        *,
        added: int,
        weights: Tensor | None,
        total_weight: float,
        extra: Mapping[str, Tensor] | None = None,
    ) -> Batch:
        """The batch with samples of other experiences behind its own.

        Args:
            inputs, targets, experiences: the added samples of this rank.
            added: how many samples all ranks add together.
            weights: (n + samples added on this rank,) new weights of all samples, or None.
            total_weight: their sum over all ranks.
            extra: further tensors for the whole batch; tensors that the batch already has are 0 for the added samples.
        """
        added_here = len(targets)
        carried = {
            name: torch.cat([value, value.new_zeros(added_here, *value.shape[1:])])
            for name, value in self.extra.items()
        }
        return replace(
            self,
            inputs=torch.cat([self.inputs, inputs]),
            targets=torch.cat([self.targets, targets]),
            experiences=torch.cat([self.experiences, experiences]),
            weights=weights,
            total_weight=total_weight,
            total_samples=self.total_samples + added,
            extra={**carried, **(extra or {})},
            places=None if self.places is None else self.places.joined(self.total_samples, added),
        )

    def split(self, parts: int, *, empty: bool = False) -> list[Batch]:
        """The batch in `parts` parts of about equal size; their losses add up to that of the whole.

        With `places`, part i has the samples whose places modulo `parts` are i, so that parts are the same at any
        number of ranks. Without `places`, each rank divides its own share, and leaves out parts without samples.

        Args:
            empty: keep parts without samples, so that all ranks have equally many.
        """
        if self.places is not None and parts > 1:
            rest = self.places.index % parts
            return [self._rows((rest == k).nonzero().squeeze(1)) for k in range(parts)]
        parts = parts if empty else min(parts, max(1, len(self)))
        if parts <= 1:
            return [self]
        bounds = [len(self) * k // parts for k in range(parts + 1)]
        return [self._rows(slice(a, b)) for a, b in itertools.pairwise(bounds)]

    def _rows(self, rows: slice | Tensor) -> Batch:
        """The batch of some of its samples, ascending."""
        where = torch.arange(len(self))[rows]
        on_device = rows if isinstance(rows, slice) else rows.to(self.inputs.device)
        return replace(
            self,
            inputs=self.inputs[on_device],
            targets=self.targets[on_device],
            experiences=self.experiences[on_device],
            weights=None if self.weights is None else self.weights[on_device],
            current=int((where < self.current).sum()),
            extra={name: value[on_device] for name, value in self.extra.items()},
            places=None,
        )
