"""The multi-layer perceptron."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipelines.models.mlp import MLP


def test_the_published_network() -> None:
    assert sum(p.numel() for p in MLP((1, 28, 28), 10).parameters()) == 478_410


@pytest.mark.parametrize("shape", [(7,), (3, 4), (1, 4, 4), (3, 5, 5)])
@pytest.mark.parametrize("hidden", [[], [5], [6, 5, 4]])
def test_any_inputs_are_flattened(shape: tuple[int, ...], hidden: list[int]) -> None:
    model = MLP(shape, 3, hidden=hidden)
    assert model(torch.rand(2, *shape)).shape == (2, 3)
    assert model(torch.ones(2, *shape, dtype=torch.int64)).shape == (2, 3)
    assert model(torch.rand(0, *shape)).shape == (0, 3)


def test_dropout_only_when_asked_for() -> None:
    assert not any(isinstance(module, nn.Dropout) for module in MLP((4,), 2).modules())
    rates = [
        module.p for module in MLP((4,), 2, hidden=[3, 3], dropout=0.5).modules() if isinstance(module, nn.Dropout)
    ]
    assert rates == [0.5, 0.5]


def test_activations() -> None:
    assert any(isinstance(module, nn.Tanh) for module in MLP((4,), 2, activation="tanh").modules())
