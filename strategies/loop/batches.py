"""The batches of an experience, as its samples give them: from memory, or read in lanes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from strategies.api.compatibility import Listed, blocks_refusal
from strategies.api.data import LaneBatches, Samples, in_blocks
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.lane_order import LaneOrder
from strategies.loop.process_group import Group
from strategies.loop.sampling import SampleOrder


class Batches:
    """An iterator over this rank's share of each batch: inputs in stored dtype and targets."""

    def __init__(
        self, strategies: Sequence[Strategy], samples: Samples, order: SampleOrder, group: Group, start: int
    ) -> None:
        """
        Args:
            strategies: that learn from them.
            start: the first step.

        Raises:
            StrategyError: a strategy needs all samples in memory, and these are read by blocks.
        """
        refuse_blocks(strategies, samples)
        self._samples, self._order, self._group, self._start = samples, order, group, start
        self._read: LaneBatches | None = None
        if in_blocks(samples) and isinstance(order, LaneOrder):
            self._read = samples.lane_batches(order, group, start)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._read is not None:
            return iter(self._read)
        return iter(self._samples.batches(self._order.shares(self._group, self._start)))

    def passed(self, step: int, taken: tuple[Tensor, Tensor]) -> tuple[Samples, Tensor]:
        """Samples of which positions, (b,) int64, are the global batch of a step, the same on every rank.

        Args:
            taken: what the iterator gave for it last.
        """
        if self._read is None:
            return self._samples, self._order.batch(step)
        size = self._order.size(step)
        share = self._order.share(self._group, step)
        origin: Tensor | None = getattr(self._samples, "experiences", None)
        experiences = None if origin is None else origin[self._order.batch(step)]
        return PassedBatch(self._group, share, size, *taken, self._read.ids, experiences), torch.arange(size)


@dataclass
class PassedBatch:
    """A global batch as samples (see `strategies.api.data.Samples`): each rank has its share, and what is asked for is
    gathered from all of them, so that all ranks have to ask for it.

    Attributes:
        experiences: (n,) int64, the experience each sample comes from; None: the current one.
    """

    group: Group
    share: slice
    size: int
    own_inputs: Tensor
    own_targets: Tensor
    own_ids: Tensor
    experiences: Tensor | None = None
    _whole: dict[str, Tensor] = field(default_factory=dict)

    @property
    def ids(self) -> Tensor:
        return self._gathered("ids", self.own_ids)

    @property
    def targets(self) -> Tensor:
        return self._gathered("targets", self.own_targets)

    def __len__(self) -> int:
        return self.size

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """As `Samples.take`."""
        return self._gathered("inputs", self.own_inputs).index_select(0, index), self.targets.index_select(0, index)

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Samples.batches`."""
        return map(self.take, indices)

    def _gathered(self, name: str, own: Tensor) -> Tensor:
        if name not in self._whole:
            self._whole[name] = self.group.gather(own, self.share, self.size)
        return self._whole[name]


def refuse_blocks(strategies: Sequence[Strategy], samples: Samples) -> None:
    """Refuse strategies that need all samples in memory, where these are read by blocks.

    Raises:
        StrategyError: names them, with the remedy.
    """
    if in_blocks(samples):
        refused = [blocks_refusal(Listed(type(strategy), strategy.options)) for strategy in strategies]
        if any(refused):
            raise StrategyError("\n".join(reason for reason in refused if reason is not None))
