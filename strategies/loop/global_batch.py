"""This rank's share of the samples of a step, before strategies add to it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from strategies.api.data import Batch, Places, Samples
from strategies.loop.sampling import SampleOrder

if TYPE_CHECKING:
    from strategies.loop.learner import Learner


def share_of_batch(
    learner: Learner, samples: Samples, order: SampleOrder, step: int, taken: tuple[Tensor, Tensor], *, placed: bool
) -> Batch:
    """The batch of a step as the experience gives it.

    Args:
        samples: what is trained on.
        taken: inputs in stored dtype and targets of this rank's share.
        placed: record the position of each sample in the global batch.
    """
    inputs, targets = taken
    size, group = order.size(step), learner.group
    share = order.share(group, step)
    origin: Tensor | None = getattr(samples, "experiences", None)
    if origin is None:
        experiences = _same(len(targets), learner.experience.index, learner.device)
    else:
        experiences = origin[next(iter(order.shares(group, step)))].to(learner.device)
    return Batch(
        inputs=learner.prepare(inputs),
        targets=learner.moved(targets),
        experiences=experiences,
        weights=None,
        total_weight=float(size),
        current=len(targets),
        total_samples=size,
        total_current=size,
        share=share,
        places=Places(torch.arange(share.start, share.stop), group.rank, group.size) if placed else None,
    )


@lru_cache(maxsize=8)
def _same(n: int, experience: int, device: torch.device) -> Tensor:
    """(n,) int64, for reading: the experience that all samples of a batch come from."""
    return torch.full((n,), experience, device=device)
