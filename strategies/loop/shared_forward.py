"""A function of many inputs, computed by all ranks together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction

CHUNK = 1000


@torch.no_grad()
def shared_forward(learner: Learner, inputs: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """function(inputs), (n, ...), on every rank; each computes its share, with the model in evaluation mode.

    Args:
        inputs: (n, *shape) in stored dtype, n >= 1.
        function: from prepared inputs, (m, *shape), to a tensor (m, ...).
    """
    share = learner.group.share(len(inputs))
    with learner.evaluating():
        parts = [function(learner.prepare(part)) for part in inputs[share].split(CHUNK) if len(part)]
        if learner.group.size == 1:
            return torch.cat(parts)
        shape = function(learner.prepare(inputs[:1]))
    result = shape.new_zeros(len(inputs), *shape.shape[1:])
    result[share] = torch.cat([shape[:0], *parts])
    learner.group.reduce_([result], Reduction.SUM)
    return result
