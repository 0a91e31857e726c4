"""A loss that is not finite ends the experience, and says at which step."""

import math

import pytest
import torch
from torch import nn

from strategies.api.strategy_errors import NonFiniteLoss
from strategies.loop.nan_guard import EVERY, FiniteLoss

CPU = torch.device("cpu")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_loss_that_is_not_finite_is_named(value: float) -> None:
    guard = FiniteLoss(4, CPU)
    for step in range(3):
        guard.check(torch.tensor(1e30), step, [])
    with pytest.raises(NonFiniteLoss) as raised:
        guard.check(torch.tensor(value), 3, [])
    assert (raised.value.experience, raised.value.step) == (4, 3)


def test_a_rank_whose_own_loss_is_finite_learns_of_the_others_from_the_gradient() -> None:
    guard, parameters = FiniteLoss(0, CPU), [nn.Parameter(torch.zeros(2)) for _ in range(2)]
    guard.check(torch.tensor(1.0), 0, parameters)  # no gradient yet
    parameters[0].grad = torch.zeros(2)
    guard.check(torch.tensor(1.0), 1, parameters)
    parameters[0].grad = torch.tensor([0.0, math.nan])
    with pytest.raises(NonFiniteLoss):
        guard.check(torch.tensor(1.0), 2, parameters)


def test_on_a_gpu_losses_are_read_many_at_a_time_and_the_first_is_named() -> None:
    # What decides is the name of the device; the losses may be anywhere.
    guard = FiniteLoss(1, torch.device("cuda"))
    for step in range(EVERY - 1):
        guard.check(torch.tensor(math.nan if step in (7, 9) else 1.0), step, [])
    with pytest.raises(NonFiniteLoss) as raised:
        guard.check(torch.tensor(1.0), EVERY - 1, [])
    assert raised.value.step == 7


def test_at_the_end_of_an_experience_the_rest_is_read() -> None:
    guard = FiniteLoss(1, torch.device("cuda"))
    guard.settle()
    guard.check(torch.tensor(1.0), 0, [])
    guard.settle()
    guard.check(torch.tensor(math.inf), 1, [])
    with pytest.raises(NonFiniteLoss) as raised:
        guard.settle()
    assert raised.value.step == 1
