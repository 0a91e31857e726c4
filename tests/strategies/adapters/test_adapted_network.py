"""A frozen model with an adapter and a head for each task."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strategies.adapters.adapted_linear import AdaptedLinear
from strategies.adapters.adapted_network import AdaptedNetwork
from strategies.adapters.bottleneck import BottleneckLinear
from strategies.adapters.low_rank import LowRankLinear


def network() -> AdaptedNetwork:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4))
    return AdaptedNetwork(model, "3", ["0"], alpha=4.0)


def train(made: AdaptedNetwork, inputs: Tensor) -> None:
    optimizer = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=0.1)
    made.train()
    for _ in range(3):
        optimizer.zero_grad()
        made(inputs).square().sum().backward()
        optimizer.step()
    made.eval()


def test_a_task_s_answers_never_change_and_a_stored_network_gives_the_same() -> None:
    made, inputs = network(), torch.randn(8, 4)
    made.add_task([0, 1], 0, rank=2, seed=5)
    train(made, inputs)
    before = made.answer(inputs, 0)
    made.add_task([2, 3], 1, rank=3, seed=6)
    train(made, inputs)
    assert torch.equal(made.answer(inputs, 0), before)
    again = network()
    again.restore_tasks(made.state_dict())
    again.load_state_dict(made.state_dict())
    again.eval()
    assert torch.equal(again(inputs), made(inputs))
    assert again.head(0).layer.weight.requires_grad is False


@pytest.mark.parametrize("kind", [LowRankLinear, BottleneckLinear])
def test_each_row_gets_the_answer_of_the_task_that_is_named_for_it(kind: type[AdaptedLinear]) -> None:
    """Of low-rank adapters in one pass; of others, and in any `TaskNetwork`, in one for each task."""
    torch.manual_seed(0)
    made = AdaptedNetwork(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4)), "2", ["0"], 4.0, kind)
    inputs, tasks = torch.randn(9, 4), torch.tensor([1, 0, 0, 2, 1, 2, 2, 0, 1])
    for task, experience in enumerate((0, 5, 3)):
        made.add_task([task, 3], experience, rank=2, seed=task)
        train(made, inputs)
    alone = torch.stack([made.answer(row[None], int(task))[0] for row, task in zip(inputs, tasks, strict=True)])
    assert torch.allclose(made.answer_rows(inputs, tasks), alone, atol=1e-6)
    ever = made(inputs)
    with made.answering_for([(0, 5, 3)[task] for task in tasks.tolist()]):
        assert torch.allclose(made(inputs), alone, atol=1e-6)
    with made.answering_for([5]):
        assert torch.allclose(made(inputs), made.answer(inputs, 1), atol=1e-6)
    assert torch.equal(made(inputs), ever)
    with pytest.raises(ValueError, match="were learned"), made.answering_for([1]):
        pass


def test_running_statistics_belong_to_the_frozen_model() -> None:
    made = network()
    made.add_task([0, 1], 0, rank=2, seed=5)
    before = {name: value.clone() for name, value in made.body.named_buffers()}
    made.train()
    made(torch.randn(8, 4))
    assert all(torch.equal(value, before[name]) for name, value in made.body.named_buffers())
