"""O-LoRA: the penalty against its definition, and what is frozen."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from strategies.adapters.low_rank import adapted_layers
from strategies.loop.learner import Learner
from strategies.methods.o_lora import orthogonality
from tests.strategies.cases import Case, make_strategy
from tests.strategies.streams import stream


def learned(experiences: int, **options: Any) -> Learner:
    case = Case("o-lora", [("o-lora", {"rank": 2, **options})])
    steps, outputs = stream(case.setting)
    learner = case.learner(outputs)
    for step in steps[:experiences]:
        learner.learn(step, case.settings)
    return learner


def test_the_gradient_is_that_of_the_sum_of_squared_products_with_earlier_adapters() -> None:
    learner = learned(3)
    (_, layer), *_ = adapted_layers(learner.model)
    first, second, newest = (matrix.weight for matrix in layer.lora_A.values())
    newest.grad = None
    expected = sum((one @ newest.T).square().sum() for one in (first, second))  # type: ignore[operator]
    assert orthogonality(learner.model) == pytest.approx(float(expected.detach()))  # type: ignore[union-attr]
    expected.backward()  # type: ignore[union-attr]
    wanted = newest.grad * 0.25  # type: ignore[operator]
    newest.grad = torch.zeros_like(newest)  # type: ignore[arg-type]
    make_strategy("o-lora", {"orthogonality": 0.25}).after_backward(learner)
    torch.testing.assert_close(newest.grad, wanted)


def test_earlier_adapters_never_change_and_new_ones_read_other_directions() -> None:
    before = learned(1).model.state_dict()
    after = learned(2).model.state_dict()
    frozen = {name for name in before if ".0.weight" in name and "lora" in name}
    assert len(frozen) == 2
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    assert orthogonality(learned(2, orthogonality=5.0).model) < orthogonality(learned(2, orthogonality=0.0).model) / 2


def test_each_experience_adds_a_part_that_later_commits_share() -> None:
    state = learned(2).state_dict()
    assert {"model.base", "model.adapter.0", "model.adapter.1"} <= set(state)
    assert set(state["model"]) == {"model.3.weight", "model.3.bias"}
