"""Streams with blurry boundaries: a share of each experience's training samples comes from other experiences.

Blurry boundaries as in Bang et al. 2021, Rainbow memory: continual learning with a memory of diverse samples. Each
class belongs to one experience, and some of its samples come in others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.data.datasets.dataset import Dataset
from pipelines.data.experience_samples import Part
from pipelines.data.samples import StoredSamples
from pipelines.data.splits import seeded
from strategies.loop.seeded_random import integer
from strategies.memory.reservoir import sample_keys

_TRIES = 20


class Exchange:
    """Which training samples the experiences of a stream exchange.

    Of n samples in an experience, the round(share * n) with the smallest seeded hash of their ids move to others, and
    as many come from others: experiences keep their size, and every sample stays in the stream exactly once. Where each
    sample goes is drawn from the seed. An experience that is larger than all others together gives only as many as the
    others have.

    Attributes:
        parts: the experiences before the exchange, by index; each sample has the same target in all of them.
    """

    def __init__(self, dataset: Dataset, parts: Mapping[int, Part], share: float, seed: int) -> None:
        self.parts = dict(parts)
        self._dataset = dataset
        self._share = share
        self._seed = seed
        self._after: dict[int, tuple[Tensor, Tensor]] | None = None

    def between(self, parts: Mapping[int, Part]) -> dict[int, BlurredPart]:
        """The same exchange between other experiences of the same dataset."""
        return blurred(self._dataset, parts, self._share, self._seed)

    def train(self, index: int) -> StoredSamples:
        """The training samples of an experience after the exchange."""
        if self._after is None:
            self._after = self._exchanged()
        rows, targets = self._after[index]
        return self._dataset.train.subset(rows, targets=targets)

    def _exchanged(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Rows in the dataset and targets of each experience, (n,) int64."""
        every = self._dataset.train.ids.numpy()
        by_id = np.argsort(every)
        key = integer(self._seed, "blurry")
        samples = {index: part.train() for index, part in self.parts.items()}
        counts = leaving([len(one) for one in samples.values()], self._share)
        kept, pool = {}, []
        for (index, one), count in zip(samples.items(), counts, strict=True):
            rows = torch.from_numpy(by_id[np.searchsorted(every, one.ids.numpy(), sorter=by_id)])
            leaves = np.zeros(len(one), dtype=bool)
            leaves[np.argsort(sample_keys(one.ids, key), kind="stable")[:count]] = True
            stays, goes = (torch.from_numpy(np.flatnonzero(chosen)) for chosen in (~leaves, leaves))
            kept[index] = (rows[stays], one.targets[stays])
            pool.append((rows[goes], one.targets[goes]))
        rows, targets = (torch.cat(column) for column in zip(*pool, strict=True))
        coming = torch.from_numpy(assignment(counts, seeded(self._seed, "blurry"))).split(counts)
        return {
            index: (torch.cat([own[0], rows[comes]]), torch.cat([own[1], targets[comes]]))
            for (index, own), comes in zip(kept.items(), coming, strict=True)
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_after": None}


@dataclass(frozen=True, eq=False)
class BlurredPart:
    """One experience of a blurry stream; its test set and its classes are unchanged. A `Part`."""

    part: Part
    index: int
    exchange: Exchange
    transform: None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that belong to this experience; its training samples include samples of other classes."""
        return self.part.classes

    @property
    def outputs(self) -> tuple[int, ...] | None:
        return self.part.outputs

    def train(self) -> StoredSamples:
        return self.exchange.train(self.index)

    def test(self) -> StoredSamples:
        return self.part.test()


def blurred(dataset: Dataset, parts: Mapping[int, Part], share: float, seed: int) -> dict[int, BlurredPart]:
    """Experiences of a dataset that exchange a share of their training samples.

    Args:
        parts: by index; together they hold each sample at most once.
        share: of each experience's samples, in (0, 1).
    """
    exchange = Exchange(dataset, parts, share, seed)
    return {index: BlurredPart(part, index, exchange) for index, part in parts.items()}


def leaving(sizes: list[int], share: float) -> list[int]:
    """How many samples each experience gives and takes: round(share * size), never more than all others together."""
    counts = [round(share * size) for size in sizes]
    most = max(counts)
    others = sum(counts) - most
    if most > others:
        counts[counts.index(most)] = others
    return counts


def assignment(counts: list[int], random: np.random.RandomState) -> NDArray[np.int64]:
    """A random permutation of sum(counts) items in runs of `counts`, such that no item stays within its run.

    Args:
        counts: no count is larger than the sum of the others.

    Returns:
        For each position, the item that goes there.
    """
    run = np.repeat(np.arange(len(counts)), counts)
    total = len(run)
    thing = random.permutation(total).astype(np.int64)
    for place in np.flatnonzero(run[thing] == run):
        if run[thing[place]] != run[place]:
            continue  # an earlier swap has moved this item
        for _ in range(_TRIES):
            other = int(random.randint(total))
            if run[other] != run[place] != run[thing[other]]:
                break
        else:
            # A partner exists: fewer than half of all items belong to this run.
            fitting = np.flatnonzero((run != run[place]) & (run[thing] != run[place]))
            other = int(fitting[random.randint(len(fitting))])
        thing[place], thing[other] = thing[other], thing[place]
    return thing
