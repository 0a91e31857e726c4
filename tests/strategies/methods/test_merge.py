"""Weight averaging: each method against its equation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.methods.merge import MergeChanges
from strategies.networks.weight_averages import sums_of_task_vectors, ties, trimmed
from tests.strategies.cases import Case
from tests.strategies.models import build


def learned(**options: Any) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]], Learner]:
    """The weights when each experience begins and after it, and what each has learned before the merge."""
    case = Case("merge", [("merge", options)], train={"optimizer": "sgd", "optimizer_options": {"lr": 0.1}})
    steps, outputs = case.stream()
    learner = case.learner(outputs)
    own, after = [], [weights(learner)]
    for step in steps:
        for _ in learner.steps(step, case.settings):
            pass
        own.append(weights(learner))
        learner.consolidate()
        after.append(weights(learner))
    return own, after, learner


def weights(learner: Learner) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in learner.model.named_parameters()}


def test_ema_moves_towards_what_each_experience_learns_and_keeps_nothing() -> None:
    own, after, learner = learned(method="ema", weight=0.25)
    torch.testing.assert_close(after[1], own[0])
    for index in (1, 2):
        expected = {name: 0.75 * after[index][name] + 0.25 * own[index][name] for name in own[0]}
        torch.testing.assert_close(after[index + 1], expected)
    assert "strategy.merge" not in learner.state_dict()


def test_task_arithmetic_adds_the_changes_that_each_makes_from_the_beginning() -> None:
    own, after, learner = learned(method="task-arithmetic", scale=0.5)
    assert isinstance(learner.strategies[0], MergeChanges)
    start = build("mlp", 6).state_dict()
    for index in range(3):
        total = {name: sum((own[i][name] - start[name] for i in range(index + 1)), torch.zeros(())) for name in start}
        torch.testing.assert_close(after[index + 1], {name: start[name] + 0.5 * total[name] for name in start})


def test_ties_merges_the_largest_changes_where_their_signs_agree() -> None:
    own, after, _ = learned(method="ties", density=0.4)
    start = build("mlp", 6).state_dict()
    for name in start:
        changes = [trimmed(found[name] - start[name], 0.4) for found in own]
        torch.testing.assert_close(after[3][name], start[name] + ties(sums_of_task_vectors(changes)))


@pytest.mark.parametrize("method", ["task-arithmetic", "ties"])
def test_of_the_head_the_units_of_an_experience_s_own_classes_are_merged(method: str) -> None:
    """Units of classes that come later stay as they began; the others are what their own experience made of them."""
    own, after, _ = learned(method=method, head="own-units", density=1.0)
    start = build("mlp", 6).state_dict()
    head = list(start)[-2:]
    assert [name.rpartition(".")[2] for name in head] == ["weight", "bias"] and len(start[head[1]]) == 6
    for index in range(3):
        for name in head:
            expected = start[name].clone()
            for earlier in range(index + 1):
                expected[2 * earlier : 2 * earlier + 2] = own[earlier][name][2 * earlier : 2 * earlier + 2]
            torch.testing.assert_close(after[index + 1][name], expected)
            assert not torch.equal(own[index][name], expected)
    body = next(iter(start))
    assert not torch.equal(after[3][body], after[2][body])


def test_units_of_classes_need_classes() -> None:
    with pytest.raises(StrategyError, match="leave head out"):
        Case("merge", [("merge", {"method": "ties", "head": "own-units"})], learns="regression").learner(6)
