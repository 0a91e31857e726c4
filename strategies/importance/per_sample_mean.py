"""Means over samples of per-sample statistics of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from strategies.api.data import Experience, in_blocks, in_chunks
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.loop.seeded_random import generator

CHUNK = 500

Moment = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""From prepared inputs, (n, *shape), and targets, (n,), to sums over them by parameter name."""


def mean_importance(
    learner: Learner, experience: Experience, samples: int | None, purpose: str, moment: Moment
) -> dict[str, Tensor]:
    """The mean of `moment` over the experience's own samples, by parameter name; the same on every rank.

    Args:
        samples: how many of them to use, drawn at random; None: all.
        purpose: address of the draw.
    """
    own = learner.samples
    n = min(samples or len(own), len(own))
    draw = generator(learner.seed, purpose, experience.index)
    if in_blocks(own):
        read = own.batches(_ascending(len(own), n, draw, learner.group.share(n)))
    else:
        chosen = torch.from_numpy(draw.permutation(len(own))[:n])
        share = chosen[learner.group.share(n)]
        read = own.batches(share.split(CHUNK) if len(share) else ())
    return mean_moment(learner, ((inputs, targets, moment) for inputs, targets in read), n)


def _ascending(size: int, n: int, draw: np.random.Generator, share: slice) -> Iterator[Tensor]:
    """A share of n random positions of `size`, ascending, so that each block is read once; of all of them where n is
    `size`."""
    if n == size:
        return in_chunks(share, CHUNK)
    chosen = torch.from_numpy(np.sort(draw.choice(size, n, replace=False, shuffle=False)))[share]
    return iter(chosen.split(CHUNK) if len(chosen) else ())


def mean_moment(learner: Learner, parts: Iterable[tuple[Tensor, Tensor, Moment]], n: int) -> dict[str, Tensor]:
    """The mean over n samples of which this rank has some, by parameter name; the same on every rank.

    Args:
        parts: this rank's samples, a chunk at a time: inputs in stored dtype, targets, and the moment that is meant.
        n: samples of all ranks.
    """
    total = {name: torch.zeros_like(p) for name, p in learner.model.named_parameters() if p.requires_grad}
    for inputs, targets, moment in parts:
        part = moment(learner.prepare(inputs), targets.to(learner.device))
        torch._foreach_add_([total[name] for name in part], list(part.values()))
    learner.group.reduce_(list(total.values()), Reduction.SUM)
    torch._foreach_div_(list(total.values()), float(n))
    return total
