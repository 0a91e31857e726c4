"""Gradients of the loss on samples of the past."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.memory.reservoir import Memory

CHUNK = 1000
_NEEDED = ("inputs", "targets", "experiences")


def reference_gradient(learner: Learner, memory: Memory, chosen: Tensor) -> list[Tensor]:
    """The gradient of the mean loss (of the learner's objective) on samples of the memory, the same on every rank.

    Each rank takes its share of the samples. The model is in evaluation mode, so that the gradient has no dropout noise
    and the statistics of batch normalisation do not change.

    Args:
        chosen: positions in the memory, (m,) int64, m >= 1.

    Returns:
        One tensor for each parameter with `requires_grad`, in the model's order; zeros where the loss does not use it.
        Do not change them in place.
    """
    parameters = [p for p in learner.model.parameters() if p.requires_grad]
    total: list[Tensor] = []
    share = chosen[learner.group.share(len(chosen))]
    with learner.evaluating():
        for part in share.split(CHUNK) if len(share) else ():
            # Selecting rows copies whole samples; indexing would copy number by number.
            inputs, targets, experiences = (memory.tensors[name].index_select(0, part) for name in _NEEDED)
            output = learner.model(learner.prepare(inputs)).float()
            logits = learner.masked(output, experiences.to(learner.device))
            loss = learner.objective.total(logits, targets.to(learner.device)) / len(chosen)
            # Not loss.backward(), whose hooks would make DistributedDataParallel average these gradients.
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            own = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
            # Not in place: two parameters may share one tensor here.
            total = list(torch._foreach_add(total, own)) if total else own
    total = total or [torch.zeros_like(p) for p in parameters]
    learner.group.reduce_(total, Reduction.SUM)
    return total


def gradients(learner: Learner, references: Sequence[list[Tensor]]) -> list[Tensor]:
    """The current gradients, one for each parameter with `requires_grad`, to be changed in place.

    A parameter without a gradient that one of the references uses gets a gradient of zeros.
    """
    found: list[Tensor] = []
    for number, p in enumerate(p for p in learner.model.parameters() if p.requires_grad):
        if p.grad is None and any(bool(reference[number].any()) for reference in references):
            p.grad = torch.zeros_like(p)
        found.append(torch.zeros_like(p) if p.grad is None else p.grad)
    return found
