"""Connections between the columns of a progressive network."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.networks.lateral_connections import (
    Connected,
    Lateral,
    called,
    connect,
    connectable,
    connections,
    disconnected,
)
from tests.strategies.models import build

INPUTS = torch.rand(2, 1, 6, 6)


@pytest.mark.parametrize("strided", [nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.Conv2d(3, 5, (1, 3), padding="same")])
def test_a_lateral_of_a_convolution_has_its_geometry(strided: nn.Conv2d) -> None:
    inputs = torch.randn(2, 3, 7, 9)
    lateral = Lateral(strided, 2)
    assert lateral([inputs, inputs]).shape == strided(inputs).shape
    assert lateral.project.get_parameter("weight").shape == (3, 6, 1, 1)


def test_a_projection_is_no_wider_than_the_layer() -> None:
    assert Lateral(nn.Linear(3136, 128), 3).project.get_parameter("weight").shape == (128, 3 * 3136)


def test_a_lateral_is_the_adapter_of_the_paper() -> None:
    lateral, earlier = Lateral(nn.Linear(4, 3), 2), [torch.randn(5, 4), torch.randn(5, 4)]
    weights = dict(lateral.named_parameters())
    assert set(weights) == {"scale", "project.weight", "adapt.weight"}
    assert weights["scale"].min().item() >= 0 and weights["scale"].max().item() <= 0.2
    joined = torch.cat([weights["scale"][0] * earlier[0], weights["scale"][1] * earlier[1]], 1)
    expected = F.relu(joined @ weights["project.weight"].T) @ weights["adapt.weight"].T
    torch.testing.assert_close(lateral(earlier), expected)
    with pytest.raises(ValueError):
        lateral(earlier[:1])


def test_a_connected_layer_adds_what_its_lateral_gives_and_passes_for_the_layer() -> None:
    layer, inputs = nn.Linear(4, 3), torch.randn(5, 4)
    alone, fed = Connected(layer), Connected(layer, Lateral(layer, 1))
    assert torch.equal(alone(inputs), layer(inputs)) and alone.entered is inputs
    fed.earlier = [torch.randn(5, 4)]
    assert fed.lateral is not None
    torch.testing.assert_close(fed(inputs), layer(inputs) + fed.lateral(fed.earlier))
    assert fed.in_features == 4 and fed.weight is layer.weight
    with pytest.raises(AttributeError):
        _ = fed.nothing


def test_layers_are_connected_and_disconnected_in_place() -> None:
    body = build("conv", 4)
    before, output = dict(body.named_modules()), body(INPUTS)
    names = list(connectable(body))
    assert names == ["model.0", "model.3", "model.5"] == called(body, INPUTS, "me")
    column = connect(body, {})
    assert list(connections(column)) == names
    assert torch.equal(column(INPUTS), output)
    back = disconnected(column)
    assert dict(back.named_modules()) == before and connections(back) == {}


def test_a_layer_that_is_called_twice_is_refused_and_one_that_is_not_is_left_out() -> None:
    with pytest.raises(StrategyError, match=r"^me connects .* calls model\.middle more than once"):
        called(build("shared", 4), INPUTS, "me")
    assert "model.never" not in called(build("unused", 4), INPUTS, "me")


def test_the_body_alone_may_be_a_layer() -> None:
    def answer(module: nn.Module) -> Tensor:
        output: Tensor = module(torch.ones(1, 2))
        return output

    layer = nn.Linear(2, 2)
    column = connect(layer, {})
    assert isinstance(column, Connected) and torch.equal(answer(column), answer(layer))
    assert disconnected(column) is layer
