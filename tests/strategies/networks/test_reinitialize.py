"""Fresh copies of a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategies.api.strategy_errors import StrategyError
from strategies.networks.reinitialize import drawn, learned_parameters, redrawn
from tests.strategies.models import build


def test_a_copy_depends_on_its_seed_alone() -> None:
    model = build("conv", 6)
    learned = learned_parameters(model)
    state = torch.get_rng_state()
    copies = [redrawn(model, learned, seed, "x").state_dict() for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in model.state_dict().items():
        assert torch.equal(copies[0][name], copies[1][name])
        assert not torch.equal(copies[0][name], copies[2][name]) and not torch.equal(copies[0][name], tensor)
        assert copies[0][name].dtype == tensor.dtype


def test_what_is_not_learned_is_copied_and_statistics_start_anew() -> None:
    model = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.BatchNorm1d(3, affine=False), nn.Linear(3, 2))
    model(torch.randn(8, 3))
    learned = learned_parameters(model)
    model.requires_grad_(False)
    fresh = redrawn(model, learned, 1, "x")
    assert torch.equal(fresh.state_dict()["0.weight"], model.state_dict()["0.weight"])
    assert not fresh.state_dict()["1.running_mean"].any() and model.state_dict()["1.running_mean"].any()
    assert learned_parameters(fresh) == learned == {"2.weight", "2.bias"}


def test_layers_that_cannot_be_drawn_are_named() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

    model = nn.Sequential(nn.Linear(2, 2), Own())
    with pytest.raises(StrategyError, match=r"x needs fresh copies of the model, and Own \(1\) holds parameters"):
        redrawn(model, learned_parameters(model), 1, "x")
    assert redrawn(model, {"0.weight", "0.bias"}, 1, "x")


def test_drawing_leaves_other_random_numbers_alone() -> None:
    first = drawn(lambda: torch.rand(3), 5)
    torch.rand(9)
    assert torch.equal(drawn(lambda: torch.rand(3), 5), first)
