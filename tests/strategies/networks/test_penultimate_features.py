"""What enters a model's head."""

import pytest
import torch
from torch import nn

from strategies.api.strategy_errors import StrategyError
from strategies.networks.penultimate_features import features, head
from tests.strategies.models import build


@pytest.mark.parametrize("name", ["mlp", "conv", "unused", "shared", "batch-norm"])
def test_features_are_what_enters_the_head(name: str) -> None:
    model = build(name, 4).eval()
    inputs = torch.rand(3, 1, 6, 6)
    phi = features(model, inputs)
    torch.testing.assert_close(phi.norm(dim=1), torch.ones(3, dtype=phi.dtype))
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.in_features == phi.shape[1]]
    directions = [nn.functional.normalize(model(inputs) - head.bias, dim=1) for head in heads if head.out_features == 4]
    found = [nn.functional.normalize(phi @ head.weight.T, dim=1) for head in heads if head.out_features == 4]
    assert any(torch.allclose(a, b) for a, b in zip(directions, found, strict=True))


def test_a_model_without_a_linear_head_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"must end in a torch\.nn\.Linear"):
        features(nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.Softmax(1)), torch.rand(2, 1, 6, 6))


def test_the_head_is_the_layer_whose_output_is_returned() -> None:
    model = build("unused", 4)
    assert head(model, torch.rand(1, 1, 6, 6), "this needs") is model.get_submodule("model.head")
    with pytest.raises(StrategyError, match=r"^this needs what enters the head"):
        head(nn.Flatten(), torch.rand(1, 1, 6, 6), "this needs")


def test_asking_leaves_nothing_behind() -> None:
    model = build("mlp", 4)
    features(model, torch.rand(2, 1, 6, 6))
    assert not any(module._forward_hooks for module in model.modules())
