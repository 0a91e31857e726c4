"""Owners of weights, as bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strategies.networks.weight_ownership import Owners, packed, unpacked
from tests.strategies.models import build


@given(st.lists(st.integers(0, 255), max_size=40))
def test_bits_come_back(values: list[int]) -> None:
    owners = torch.tensor(values, dtype=torch.uint8)
    planes = max([1, *(value.bit_length() for value in values)])
    bits = packed(owners, planes)
    assert bits.shape == (planes, -(-len(values) // 8))
    assert torch.equal(unpacked(bits, len(values)), owners)


@pytest.mark.parametrize(("tasks", "planes"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (255, 8)])
def test_there_are_as_many_planes_as_the_tasks_need(tasks: int, planes: int) -> None:
    owners = Owners(build("mlp", 6))
    owners.owner[5] = tasks
    assert owners.get_extra_state().shape == (planes, (36 * 16 + 16 * 6) // 8)


def test_only_learned_parameters_of_two_dimensions_are_weights() -> None:
    assert set(Owners(build("batch-norm", 6)).shapes) == {"model.0.weight", "model.5.weight", "model.8.weight"}
    assert set(Owners(build("frozen", 6)).shapes) == {"model.3.weight"}
    assert Owners(torch.nn.BatchNorm1d(3)).get_extra_state().shape == (1, 0)


def test_the_parts_are_views() -> None:
    owners = Owners(build("mlp", 6))
    owners.of()["model.3.weight"].fill_(7)
    assert int((owners.owner == 7).sum()) == 16 * 6


@pytest.mark.parametrize(
    "state",
    [
        torch.zeros(1, 83, dtype=torch.uint8),
        torch.zeros(9, 84, dtype=torch.uint8),
        torch.zeros(0, 84, dtype=torch.uint8),
        torch.zeros(84, dtype=torch.uint8),
        torch.zeros(1, 84),
    ],
)
def test_bits_of_other_weights_are_refused(state: Tensor) -> None:
    with pytest.raises(ValueError, match="the owners of 672 weights cannot be"):
        Owners(build("mlp", 6)).set_extra_state(state)
