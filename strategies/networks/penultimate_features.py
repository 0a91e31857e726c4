"""The features that enter a model's head."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError


def features(model: nn.Module, inputs: Tensor) -> Tensor:
    """The input of the linear layer that makes the model's output, each row brought to length 1, (n, d).

    Args:
        inputs: (n, *shape), as the model takes them.

    Raises:
        StrategyError: the model does not end in a torch.nn.Linear.
    """
    return F.normalize(entering_head(model, inputs, "icarl classifies by"), dim=1)


def entering_head(model: nn.Module, inputs: Tensor, use: str) -> Tensor:
    """The input of the linear layer that makes the model's output, (n, d); arguments and errors as in `head`."""
    return _head(model, inputs, use)[1].flatten(1)


def head(model: nn.Module, inputs: Tensor, use: str) -> nn.Linear:
    """The linear layer that makes the model's output.

    Args:
        inputs: (n, *shape), n >= 1, as the model takes them.
        use: what the layer's input is used for, for the error.

    Raises:
        StrategyError: the model does not end in a torch.nn.Linear.
    """
    return _head(model, inputs, use)[0]


def _head(model: nn.Module, inputs: Tensor, use: str) -> tuple[nn.Linear, Tensor]:
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []

    def keep(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((layer, args[0], output))

    handles = [layer.register_forward_hook(keep) for layer in model.modules() if isinstance(layer, nn.Linear)]
    try:
        result = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    for layer, entering, output in reversed(seen):
        if output.shape == result.shape and output.data_ptr() == result.data_ptr():
            assert isinstance(layer, nn.Linear)
            return layer, entering
    raise StrategyError(f"{use} what enters the head: the model must end in a torch.nn.Linear whose output it returns")
