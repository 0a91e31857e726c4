"""Embeddings with gradients like those of other layers."""

from __future__ import annotations

from torch import nn


def dense_gradients(model: nn.Module) -> None:
    """Makes embedding layers of `model` that ask for sparse gradients give dense ones, of the same values, in place.

    Strategies add to gradients, ranks average them, and most optimisers take dense ones only.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
            layer.sparse = False
