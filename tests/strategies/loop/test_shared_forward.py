"""A function of many inputs, computed by all ranks together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from strategies.loop import shared_forward as module
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.shared_forward import shared_forward
from strategies.methods.naive import Naive
from tests.processes import Processes
from tests.strategies.models import build
from tests.strategies.streams import rows


def outputs_of(n: int) -> tuple[Tensor, Tensor, bool]:
    """What the ranks come to, what the model gives, and whether it is in training mode afterwards."""
    learner = Learner(build("dropout", 3), [Naive()], outputs=3, seed=3, group=Group.current())
    learner.model.train()
    inputs = rows((0, 1, 2), n, 1).inputs
    found = shared_forward(learner, inputs, learner.model)
    training = learner.model.training
    return found, learner.model.eval()(inputs.float() / 255).detach(), training


@pytest.mark.parametrize("chunk", [4, 1000])
def test_it_is_the_model_in_evaluation_mode(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    found, expected, training = outputs_of(10)
    torch.testing.assert_close(found, expected)
    assert training and not found.requires_grad


@pytest.mark.parametrize("n", [1, 10])
def test_ranks_share_the_work_and_all_have_the_result(n: int, processes: Callable[[int], Processes]) -> None:
    for found, expected, _ in processes(3).run(outputs_of, n):
        torch.testing.assert_close(found, expected)
