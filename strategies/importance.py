"""Means over an experience's samples of per-sample statistics of the parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from strategies.contract import Experience
from strategies.group import Reduction
from strategies.learner import Learner
from strategies.randomness import generator

Moment = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""From prepared inputs, (n, *shape), and targets, (n,), to sums over them by parameter name."""


def mean_importance(
    learner: Learner, experience: Experience, samples: int | None, purpose: str, moment: Moment
) -> dict[str, Tensor]:
    """The mean of `moment` over the experience's own samples, by parameter name; the same on every rank.

    Args:
        samples: over so many of them, drawn at random; None: all.
        purpose: address of the draw.
    """
    own = learner.samples
    n = min(samples or len(own), len(own))
    draw = generator(learner.seed, purpose, experience.index)
    chosen = torch.from_numpy(draw.permutation(len(own))[:n])
    total = {name: torch.zeros_like(p) for name, p in learner.model.named_parameters() if p.requires_grad}
    share = chosen[learner.group.share(n)]
    for inputs, targets in own.batches(share.split(500) if len(share) else ()):
        part = moment(learner.prepare(inputs), targets.to(learner.device))
        torch._foreach_add_([total[name] for name in part], list(part.values()))
    learner.group.reduce_(list(total.values()), Reduction.SUM)
    torch._foreach_div_(list(total.values()), float(n))
    return total
