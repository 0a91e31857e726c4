"""The loss of one rank's part of a global batch: a strategy's loss or the objective's, and further loss terms."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from strategies.api.data import Batch
from strategies.loop.hooks import overriding
from strategies.loop.placeholder import placeholder

if TYPE_CHECKING:
    from strategies.loop.learner import Learner


def batch_loss(learner: Learner, batch: Batch, precision: str) -> Tensor:
    """This rank's part of the loss, a 0-dim tensor; the parts of all ranks add up to the loss of the global batch.

    Args:
        precision: "fp32", or "bf16" for a forward pass under autocast.
    """
    with _autocast(learner.device, precision):
        if len(batch):
            output = learner.output(batch.inputs)
        else:
            with placeholder():
                output = learner.output(learner.example()[:1])[:0]
    output = output.float()
    replaced = (
        training_loss(learner, batch, output) for training_loss in overriding(learner.strategies, "training_loss")
    )
    loss: Tensor | None = next((loss for loss in replaced if loss is not None), None)
    if loss is None:
        loss = objective_loss(learner, batch, output)
    for term in overriding(learner.strategies, "loss_term"):
        added = term(learner, batch, output)
        if added is not None:
            loss = loss + added
    return loss


def objective_loss(learner: Learner, batch: Batch, output: Tensor) -> Tensor:
    """The loss of the learner's objective over the active units: this rank's part of the global mean, 0-dim."""
    active = learner.masked(output, batch.experiences)
    if batch.weights is None:
        if batch.total_weight == len(batch) > 0:
            return learner.objective.mean(active, batch.targets)
        return learner.objective.total(active, batch.targets) / batch.total_weight
    return batch.mean(learner.objective.loss(active, batch.targets))


def _autocast(device: torch.device, precision: str) -> Any:
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
