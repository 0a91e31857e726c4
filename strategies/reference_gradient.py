"""Gradients of the loss on samples of the past."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from strategies.group import Reduction
from strategies.learner import Learner
from strategies.memory import Memory

CHUNK = 1000


def reference_gradient(learner: Learner, memory: Memory, chosen: Tensor) -> list[Tensor]:
    """The gradient of the mean cross entropy on samples of the memory, the same on every rank.

    Each rank takes its share of the samples. The model is in evaluation mode: what the past says about a step must
    neither be noise nor change the statistics of batch normalisation.

    Args:
        chosen: positions in the memory, (m,) int64, m >= 1.

    Returns:
        One tensor for each parameter with `requires_grad`, in the model's order; zeros where it has no part.
    """
    parameters = [p for p in learner.model.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in parameters]
    share = chosen[learner.group.share(len(chosen))]
    with learner.evaluating():
        for part in share.split(CHUNK) if len(share) else ():
            output = learner.model(learner.prepare(memory.tensors["inputs"][part])).float()
            logits = learner.masked(output, memory.tensors["experiences"][part].to(learner.device))
            targets = memory.tensors["targets"][part].to(learner.device)
            loss = F.cross_entropy(logits, targets, reduction="sum") / len(chosen)
            # Not loss.backward(), whose hooks would make DistributedDataParallel average what it should not see.
            for t, g in zip(total, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
                if g is not None:
                    t += g
    learner.group.reduce_(total, Reduction.SUM)
    return total


def gradients(learner: Learner, reference: list[Tensor]) -> list[Tensor]:
    """The gradients as they are, one for each parameter with `requires_grad`, to be changed in place.

    A parameter that has none, and that the past cares for, gets one of zeros.
    """
    found: list[Tensor] = []
    for p, r in zip((p for p in learner.model.parameters() if p.requires_grad), reference, strict=True):
        if p.grad is None and bool(r.any()):
            p.grad = torch.zeros_like(p)
        found.append(torch.zeros_like(p) if p.grad is None else p.grad)
    return found
