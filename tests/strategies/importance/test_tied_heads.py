"""Which layers share the weights of an embedding, and whether they are linear. Sums: test_sequence_gradients."""

from __future__ import annotations

import torch
from torch import nn

from strategies.importance.tied_heads import is_linear, tied_heads


def test_a_head_with_an_embedding_s_weights_is_found() -> None:
    model = nn.ModuleList([nn.Embedding(5, 3), nn.Linear(3, 5), nn.Linear(3, 5)])
    assert not tied_heads(model)
    model[1].weight = model[0].weight
    assert tied_heads(model) == {model[1]: model[0]}
    model.requires_grad_(False)
    assert not tied_heads(model)


def test_only_the_product_with_the_weights_is_linear() -> None:
    head, inputs = nn.Linear(3, 5), torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    assert is_linear(head, inputs, head(inputs))
    assert not is_linear(head, inputs, head(inputs).tanh()) and not is_linear(head, inputs[:, 0], head(inputs[:, 0]))
