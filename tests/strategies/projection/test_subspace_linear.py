"""Layers of which some directions learn: what stays, and what is stored."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategies.loop.process_group import Group
from strategies.projection.subspace_linear import (
    SubspaceLinear,
    decompose,
    merge,
    restore_subspace,
    stored_subspaces,
    subspace_layers,
)

INPUTS = torch.randn(30, 6, generator=torch.Generator().manual_seed(5))
GOAL = torch.randn(30, 3, generator=torch.Generator().manual_seed(6))


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9, bias=False), nn.Tanh(), nn.Linear(9, 3, bias=False))


def train(made: nn.Module, optimizer: type[torch.optim.Optimizer], lr: float = 0.1) -> None:
    layers = [layer for _, layer in subspace_layers(made)]
    stepper = optimizer([p for p in made.parameters() if p.requires_grad], lr=lr)  # type: ignore[call-arg]
    for _ in range(5):
        stepper.zero_grad()
        (made(INPUTS) - GOAL).square().mean().backward()
        for layer in layers:
            layer.project_gradients()
        stepper.step()
        for layer in layers:
            layer.project_weights()


def decomposed(preserve: float = 0.5) -> nn.Sequential:
    made = model()
    for name in ("0", "2"):
        decompose(made, name, preserve, Group())
    return made


def test_what_is_frozen_stays_whatever_the_optimiser() -> None:
    before, made = model(), decomposed()
    kept = {name: (layer.U_high, layer.V_high) for name, layer in subspace_layers(made)}
    train(made, torch.optim.Adam)
    merge(made)
    for name, (left, right) in kept.items():
        old, new = before.get_parameter(f"{name}.weight"), made.get_parameter(f"{name}.weight")
        assert (old - new).norm() > 0.1
        torch.testing.assert_close(new @ right.T, old @ right.T, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(left.T @ new, left.T @ old, rtol=1e-4, atol=1e-5)


def test_a_stored_state_is_restored_and_one_that_does_not_fit_is_refused() -> None:
    made = decomposed()
    state = made.state_dict()
    again = model()
    for name in stored_subspaces(state):
        restore_subspace(again, name, state)
    again.load_state_dict(state)
    assert torch.equal(again(INPUTS), made(INPUTS))
    for wrong in ({"0.U_low": torch.zeros(9, 6)}, {"0.U_high": torch.zeros(3)}, {"0.U_high": torch.zeros(9, 10**7)}):
        with pytest.raises(ValueError, match="the directions of '0' are"):
            restore_subspace(model(), "0", {**state, **wrong})
    with pytest.raises(ValueError, match="no linear layer"):
        restore_subspace(model(), "1", state)


def test_a_layer_with_one_direction_is_frozen() -> None:
    made = nn.Sequential(nn.Linear(4, 1))
    decompose(made, "0", 0.5, Group())
    assert not isinstance(made[0], SubspaceLinear) and not made[0].weight.requires_grad
