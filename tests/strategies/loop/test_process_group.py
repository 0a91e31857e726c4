"""Ranks that learn together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strategies.loop.process_group import Group, Reduction
from tests.processes import Processes


@given(st.integers(0, 50), st.integers(1, 8))
def test_shares_are_disjoint_complete_and_even(n: int, size: int) -> None:
    shares = [range(n)[Group(rank, size).share(n)] for rank in range(size)]
    assert [i for share in shares for i in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_rank_outside_of_the_group_is_refused() -> None:
    for rank, size in ((1, 1), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match=f"rank {rank} is not in a group of {size}"):
            Group(rank, size)


def test_a_group_of_one_changes_nothing() -> None:
    group = Group.current()
    assert (group.rank, group.size) == (0, 1)
    for how in Reduction:
        tensor = torch.tensor([1.0, 2.0])
        group.reduce_([tensor], how)
        assert tensor.tolist() == [1.0, 2.0]


def reduced(how: Reduction) -> list[Tensor]:
    group = Group.current()
    value = group.rank + 1
    tensors = [
        torch.full((2, 3), float(value)),
        torch.tensor(value),
        torch.full((2, 2), 10.0 * value, dtype=torch.float64).t(),
        torch.empty(0),
        torch.tensor([float(value), -float(value)]),
    ]
    if how is Reduction.MEAN:
        tensors.pop(1)
    group.reduce_(tensors, how)
    group.reduce_([], how)
    return tensors


def test_values_are_combined_as_declared(processes: Callable[[int], Processes]) -> None:
    for how, factor in ((Reduction.SUM, 1 + 2 + 3 + 4), (Reduction.MEAN, 2.5)):
        for tensors in processes(4).run(reduced, how):
            assert torch.equal(tensors[0], torch.full((2, 3), float(factor)))
            assert torch.equal(tensors[-3], torch.full((2, 2), 10.0 * factor, dtype=torch.float64))
            assert tensors[-1].tolist() == [factor, -factor]
            assert how is Reduction.MEAN or tensors[1].item() == factor
    for rank, tensors in enumerate(processes(4).run(reduced, Reduction.GLOBAL)):
        assert tensors[1].item() == rank + 1


def sent(data: bytes) -> bytes:
    group = Group.current()
    return group.broadcast(data if group.rank == 0 else b"of another rank")


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 10])
def test_every_rank_gets_rank_zeros_bytes(data: bytes, processes: Callable[[int], Processes]) -> None:
    assert processes(2).run(sent, data) == [data, data]
    assert Group().broadcast(data) == data
