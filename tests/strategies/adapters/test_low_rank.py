"""Low-rank adapters in a frozen model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategies.adapters.low_rank import (
    ALL,
    activate,
    adapt,
    adapted_layers,
    add_adapter,
    frozen_names,
    restore_adapter,
    stored_adapters,
    stored_targets,
    target_names,
    without_adapters,
)
from strategies.api.strategy_errors import StrategyError


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Sequential(nn.Linear(7, 6), nn.ReLU()), nn.Linear(6, 3))


def adapted(rank: int = 2, alpha: float = 3.0) -> nn.Sequential:
    made = model()
    adapt(made, ["0", "2.0"], alpha)
    add_adapter(made, "a", rank, seed=1)
    return made


def test_a_new_adapter_changes_nothing_and_a_trained_one_adds_the_product_of_its_matrices() -> None:
    inputs, plain, made = torch.randn(4, 5), model(), adapted()
    assert torch.equal(made(inputs), plain(inputs))
    for name, layer in adapted_layers(made):
        nn.init.normal_(layer.lora_B["a"].weight)  # type: ignore[arg-type]
        product = layer.lora_B["a"].weight @ layer.lora_A["a"].weight  # type: ignore[operator]
        plain.get_submodule(name).weight.data += 3.0 / 2 * product
    torch.testing.assert_close(made(inputs), plain(inputs))
    with without_adapters(made):
        assert torch.equal(made(inputs), model()(inputs))
    torch.testing.assert_close(made(inputs), plain(inputs))
    activate(made)
    assert torch.equal(made(inputs), model()(inputs))


def test_active_adapters_add_up() -> None:
    inputs, made = torch.randn(4, 5), adapted()
    add_adapter(made, "b", 3, seed=2)
    for _, layer in adapted_layers(made):
        for adapter in "ab":
            nn.init.normal_(layer.lora_B[adapter].weight)  # type: ignore[arg-type]
    layer, entering = next(adapted_layers(made))[1], inputs
    parts = []
    for active in ((), ("a",), ("b",), ("a", "b")):
        activate(made, *active)
        parts.append(layer(entering))
    torch.testing.assert_close(parts[3], parts[1] + parts[2] - parts[0])
    assert stored_adapters(made.state_dict()) == ["a", "b"]


def test_only_the_newest_adapter_learns() -> None:
    made = adapted()
    add_adapter(made, "b", 2, seed=2)
    learning = [name for name, p in made.named_parameters() if p.requires_grad]
    assert learning == ["0.lora_A.b.weight", "0.lora_B.b.weight", "2.0.lora_A.b.weight", "2.0.lora_B.b.weight"]
    assert frozen_names(made, "body.") == {
        f"body.{n}" for n in model().state_dict() for n in [n.replace("0.weight", "0.base_layer.weight")]
        for n in [n.replace("0.bias", "0.base_layer.bias")]
    }  # fmt: skip


def test_layers_are_named_by_the_ends_of_their_names() -> None:
    assert target_names(model(), [ALL], "3", "lora") == ["0", "2.0"]
    assert target_names(model(), ["2.0"], "3", "lora") == ["2.0"]
    assert target_names(model(), ["0"], "3", "lora") == ["0", "2.0"]
    with pytest.raises(StrategyError, match=r"the model has no 'query': it has 0$"):
        target_names(model(), ["query"], "3", "lora")


def test_a_stored_adapter_is_restored_and_one_that_does_not_fit_is_refused() -> None:
    made = adapted()
    state = made.state_dict()
    again = model()
    adapt(again, stored_targets(again, state), 3.0)
    restore_adapter(again, "a", state)
    again.load_state_dict(state)
    inputs = torch.randn(4, 5)
    assert torch.equal(again(inputs), made(inputs))
    for name, wrong in [
        ("0.lora_A.a.weight", torch.zeros(2, 4)),
        ("0.lora_B.a.weight", torch.zeros(7, 3)),
        ("0.lora_A.a.weight", torch.zeros(2)),
        ("0.lora_B.a.weight", torch.zeros(10**6, 2)),
    ]:
        with pytest.raises(ValueError, match="adapter of '0'"):
            restore_adapter(adapted(), "a", {**state, name: wrong})
    with pytest.raises(ValueError, match="no linear layer"):
        stored_targets(model(), {"1.lora_A.a.weight": torch.zeros(2, 2)})
