"""Embeddings with gradients like those of other layers."""

from __future__ import annotations

import torch
from torch import nn

from strategies.api.strategy_errors import StrategyError


def dense_gradients(model: nn.Module) -> None:
    """Makes embedding layers of `model` that ask for sparse gradients give dense ones, of the same values, in place.

    Strategies add to gradients, ranks average them, and most optimisers take dense ones only.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
            layer.sparse = False


def refuse_sparse_gradients(model: nn.Module) -> None:
    """After a backward pass: a model that makes sparse gradients by itself is refused.

    Raises:
        StrategyError: a parameter has one.
    """
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and parameter.grad.layout is not torch.strided:
            raise StrategyError(
                f"model: the gradient of parameter '{name}' is sparse, and strategies and ranks add to dense ones: "
                "call torch.nn.functional.embedding without sparse=True, or use torch.nn.Embedding"
            )
