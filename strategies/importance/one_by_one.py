"""Per-sample gradients of models that torch.func cannot run: one sample after the other.

Recurrent layers, mixtures of experts, a number read in the forward pass (`.item()`), activation checkpointing and
buffers that are changed in place are such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SlowImportance(UserWarning):
    """Importances are estimated in a slower way."""


def slow_importance(model: nn.Module, error: Exception) -> str:
    """What to say when a model needs it."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
    return (
        f"the importance of parameters is estimated one sample at a time, for torch.func cannot run this model "
        f"({type(model).__name__}: {reason}): with the strategy's option `samples` fewer of them do"
    )


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Whatever passes through the model in the block, its buffers are as they were after it."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


def add_one_by_one(
    model: nn.Module,
    parameters: Mapping[str, nn.Parameter],
    inputs: Tensor,
    rows: Tensor,
    objectives: Sequence[Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]],
    total: Mapping[str, Tensor],
    absolute: bool,
) -> None:
    """Add what `per_sample_moment` says of some samples to `total`.

    Args:
        inputs: (n, *shape), as the model takes them.
        rows: (n,) int64: their positions.
    """
    # In evaluation mode cuDNN's recurrent layers have no backward pass.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        for x, row in zip(inputs, rows, strict=True):
            for objective in objectives:
                value, weight = objective(model(x[None]), row[None])
                found = torch.autograd.grad(value[0], list(parameters.values()), allow_unused=True)
                for name, gradient in zip(parameters, found, strict=True):
                    if gradient is not None:
                        moment = gradient.abs() if absolute else gradient.square()
                        total[name].add_(moment if weight is None else moment * weight[0].detach().to(moment.dtype))
