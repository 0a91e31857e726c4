"""Taking a model's head off, and finding the place again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategies.api.strategy_errors import StrategyError
from strategies.networks.output_layer import head_name, put, stored_head, take_off
from tests.strategies.models import build

INPUTS = torch.rand(2, 1, 6, 6)


@pytest.mark.parametrize(("model", "name"), [("mlp", "model.3"), ("conv", "model.5"), ("unused", "model.head")])
def test_the_head_is_what_makes_the_output(model: str, name: str) -> None:
    made = build(model, 6)
    assert head_name(made, INPUTS, "x") == name
    expected = made(INPUTS)
    body, head = take_off(made, name)
    assert torch.equal(head(body(INPUTS)), expected)
    names = body.state_dict()
    assert stored_head(build(model, 6), lambda layer: f"{layer}.weight" in names) == name


def test_a_linear_model_is_all_head() -> None:
    model = nn.Linear(3, 2)
    assert head_name(model, torch.rand(2, 3), "x") == ""
    body, head = take_off(model, "")
    assert head is model and isinstance(body, nn.Identity)


def test_other_endings_are_refused() -> None:
    with pytest.raises(StrategyError, match=r"^x puts other heads on .* must end in a torch\.nn\.Linear"):
        head_name(nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.ReLU()), INPUTS, "x")


@pytest.mark.parametrize("stored", [True, False])
def test_a_state_lacks_exactly_the_head(stored: bool) -> None:
    with pytest.raises(ValueError, match="linear layers of the model are not in it"):
        stored_head(build("mlp", 6), lambda name: stored)


def test_layers_are_put_by_name() -> None:
    model, layer = build("mlp", 6), nn.Identity()
    assert put(model, "model.1", layer) is model and model.get_submodule("model.1") is layer
    assert put(model, "", layer) is layer
