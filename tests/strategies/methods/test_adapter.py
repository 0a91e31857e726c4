"""Houlsby adapters: what learns, what is stored, and what is forgotten."""

from __future__ import annotations

import pytest
import torch

from strategies.adapters.bottleneck import BottleneckLinear
from strategies.methods.adapter import Adapter, AdapterPerExperience
from tests.strategies.cases import Case, learn, make_strategy


def test_the_model_is_frozen_and_only_the_adapter_and_the_head_are_in_a_commit() -> None:
    case = Case("adapter", [("adapter", {"size": 2})])
    steps, outputs = case.stream()
    learner = case.learner(outputs)
    learner.learn(steps[0], case.settings)
    state = learner.state_dict()
    assert set(state["model.base"]) == {"model.1.base_layer.weight", "model.1.base_layer.bias"}
    parts = {f"model.1.adapter_{part}.stream.{tensor}" for part in ("down", "up") for tensor in ("weight", "bias")}
    assert set(state["model"]) == parts | {"model.3.weight", "model.3.bias"}
    assert all(tensor.any() for tensor in state["model"].values())


def test_an_adapter_for_each_experience_forgets_exactly_nothing() -> None:
    counts = learn(Case("adapter", [("adapter", {"per": "experience", "size": 2})], "task-incremental")).counts
    assert [row[0] for row in counts] == [counts[0][0]] * 3
    assert counts[2][1] == counts[1][1]


def test_the_option_per_chooses_the_variant() -> None:
    assert type(make_strategy("adapter", {})) is Adapter
    assert type(make_strategy("adapter", {"per": "experience"})) is AdapterPerExperience


@pytest.mark.parametrize("per", ["stream", "experience"])
def test_alpha_reaches_the_layers_also_where_they_are_stored(per: str) -> None:
    """What an adapter adds to a layer is proportional to it."""
    setting = "task-incremental" if per == "experience" else "class-incremental"
    case = Case("adapter", [("adapter", {"size": 2, "alpha": 0.25, "per": per})], setting)
    steps, outputs = case.stream()
    learner = case.learner(outputs)
    learner.learn(steps[0], case.settings)
    again = case.learner(outputs)
    again.load_state_dict(learner.state_dict())
    for model in (learner.model, again.model):
        (layer,) = (module for module in model.modules() if isinstance(module, BottleneckLinear))
        inputs = torch.randn(3, layer.base_layer.in_features, dtype=layer.base_layer.weight.dtype)
        added = layer(inputs) - layer.base_layer(inputs)
        layer.alpha = 1.0
        torch.testing.assert_close(added, 0.25 * (layer(inputs) - layer.base_layer(inputs)))
