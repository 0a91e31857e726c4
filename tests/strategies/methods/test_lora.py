"""LoRA: what learns, what is stored, and what is forgotten."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from strategies.loop.learner import Learner
from strategies.methods.lora import LoRA, LoRAOptions, LoRAPerExperience
from tests.strategies.cases import Case, learn, make_strategy
from tests.strategies.models import build
from tests.strategies.streams import stream


def learned(options: dict[str, Any], *others: str, setting: str = "class-incremental") -> Learner:
    case = Case("lora", [("lora", options), *((name, {}) for name in others)], setting)
    experiences, outputs = case.stream()
    learner = case.learner(outputs)
    for experience in experiences[:2]:
        learner.learn(experience, case.settings, past=experiences[: experience.index])
    return learner


def untrained() -> dict[str, Tensor]:
    return build("mlp", stream("class-incremental")[1]).state_dict()


def test_the_model_is_frozen_and_the_adapter_and_the_head_learn() -> None:
    learner, before = learned({"rank": 2}), untrained()
    state = learner.model.state_dict()
    assert torch.equal(state["model.1.base_layer.weight"], before["model.1.weight"])
    assert torch.equal(state["model.1.base_layer.bias"], before["model.1.bias"])
    assert not torch.equal(state["model.3.weight"], before["model.3.weight"])
    assert state["model.1.lora_B.stream.weight"].any()


def test_the_frozen_model_is_a_part_of_its_own_that_later_commits_share() -> None:
    state = learned({"rank": 2}).state_dict()
    assert set(state["model.base"]) == {"model.1.base_layer.weight", "model.1.base_layer.bias"}
    assert set(state["model"]) == {
        "model.1.lora_A.stream.weight",
        "model.1.lora_B.stream.weight",
        "model.3.weight",
        "model.3.bias",
    }
    assert not any("base_layer" in name for name in state["optimizer"])


def test_other_methods_hold_the_adapter_and_the_head_alone() -> None:
    state = learned({"rank": 2}, "ewc").state_dict()
    held = {name.partition(".")[2] for name in state["strategy.ewc"] if name.startswith("importance.")}
    assert held == set(state["model"])


def test_an_adapter_for_each_experience_forgets_exactly_nothing() -> None:
    counts = learn(Case("lora", [("lora", {"per": "experience", "rank": 2})], "task-incremental")).counts
    assert [row[0] for row in counts] == [counts[0][0]] * 3
    assert counts[2][1] == counts[1][1]


def test_the_option_per_chooses_the_variant() -> None:
    assert type(make_strategy("lora", {})) is LoRA
    each = make_strategy("lora", {"per": "experience"})
    assert type(each) is LoRAPerExperience
    assert each.needs_task_labels and not LoRA.needs_task_labels


def test_only_named_layers_are_adapted() -> None:
    outputs = stream("class-incremental")[1]
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, outputs))
    learner = Learner(model, [LoRA(LoRAOptions(targets=("3",)))], outputs=outputs, seed=1)
    experiences, _ = stream("class-incremental")
    learner.learn(experiences[0], Case("", ()).settings)
    adapted = {name.partition(".lora_A")[0] for name in learner.model.state_dict() if ".lora_A." in name}
    assert adapted == {"3"}
