"""Exemplars: samples chosen so that their mean is close to the mean of their class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from strategies.memory.reservoir import Keys, Memory


def herd(features: Tensor, n: int) -> Tensor:
    """Herding (Welling 2009; Rebuffi et al. 2017, algorithm 4): samples whose running mean stays close to the mean.

    The k-th one is argmin over x, not chosen before, of ||mean - (features[x] + sum of the chosen) / k||, so that every
    prefix of the result is a good choice too.

    Args:
        features: (m, d), rows of length 1; their mean is brought to length 1 as well.
        n: how many at most.

    Returns:
        Positions in the order in which they were chosen, (min(n, m),) int64.
    """
    mean = torch.nn.functional.normalize(features.mean(0), dim=0)
    squares = features.square().sum(1) / 2
    missing = torch.zeros_like(mean)  # k * mean - sum of the chosen
    chosen: list[int] = []
    free = torch.zeros_like(squares)
    for _ in range(min(n, len(features))):
        missing = missing + mean
        best = int((features @ missing - squares + free).argmax())
        chosen.append(best)
        free[best] = -torch.inf
        missing = missing - features[best]
    return torch.tensor(chosen, dtype=torch.int64)


class ExemplarMemory(Memory):
    """A class-balanced memory that keeps the samples of the smallest `rank`, a per-sample tensor given to `add`.

    Lists of several experiences for one class interleave: equal ranks are ordered by the seeded hash of the id.
    Every class keeps a prefix of each of its lists, so that everything else is as in `Memory`; only `candidates`, which
    knows no ranks, has no meaning here.
    """

    def __init__(self, capacity: int, seed: int = 0, *, per_class: int | None = None) -> None:
        super().__init__(capacity, "class-balanced", seed, per_class=per_class)

    def _keys(self, tensors: Mapping[str, Tensor]) -> Keys:
        rank = tensors["rank"].numpy().astype(np.uint64)
        return rank << np.uint64(40) | super()._keys(tensors) >> np.uint64(24)
