"""A network that grows a column for each task."""

import pytest
import torch
from torch import nn

from strategies.networks.progressive_columns import Columns
from tests.strategies.models import batch_norm, mlp

INPUTS = torch.rand(3, 1, 6, 6)


def columns(tasks: int = 0, model: nn.Module | None = None, head: str = "3") -> Columns:
    torch.manual_seed(0)
    network = Columns(model or mlp(6), head)
    for task in range(tasks):
        network.add_task(INPUTS, [2 * task, 2 * task + 1], task, seed=task, who="me")
    return network.eval()


def test_one_pass_gives_every_task_s_answer() -> None:
    network = columns(3)
    every = network.answers(INPUTS, [0, 1, 2])
    for task in range(3):
        (alone,) = network.answers(INPUTS, [task])
        assert alone.shape == (3, 2) and torch.equal(alone, every[task])


def test_a_further_task_changes_no_answer_and_learns_alone() -> None:
    network = columns(2, batch_norm(6), "8")
    before = network.answers(INPUTS, [0, 1])
    network.add_task(INPUTS, [4, 5], 2, seed=9, who="me")
    network.train()
    for mine, theirs in zip(network.answers(INPUTS, [0, 1]), before, strict=True):
        assert torch.equal(mine, theirs)
    assert {p.requires_grad for p in network.columns[:2].parameters()} == {False}
    assert {p.requires_grad for p in network.columns[2].parameters()} == {True}


def test_a_column_is_drawn_from_the_seed() -> None:
    drawn = []
    for seed in (5, 5, 6):
        network = columns(1)
        network.add_task(INPUTS, [2, 3], 1, seed=seed, who="me")
        drawn.append(network.columns[1].get_parameter("1.layer.weight").detach())
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_nothing_of_a_pass_is_held_after_it() -> None:
    network = columns(2)
    network.answers(INPUTS, [1])
    for module in network.modules():
        assert not getattr(module, "earlier", []) and getattr(module, "entered", None) is None


def test_a_stored_state_brings_another_to_the_same_answers() -> None:
    network, other = columns(3), columns()
    state = network.state_dict()
    other.restore_tasks(state)
    other.load_state_dict(state)
    other.eval()
    for mine, theirs in zip(other.answers(INPUTS, range(3)), network.answers(INPUTS, range(3)), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "name",
    ["heads.1.units", "heads.2.layer.layer.weight", "columns.1.1.layer.bias", "heads.2.layer.lateral.project.weight"],
)
def test_a_state_that_lacks_a_part_is_refused(name: str) -> None:
    state = dict(columns(3).state_dict())
    del state[name]
    with pytest.raises(ValueError, match="missing"):
        columns().restore_tasks(state)


def test_as_many_columns_as_heads_are_needed() -> None:
    state = {name: t for name, t in columns(3).state_dict().items() if not name.startswith("heads.2.")}
    with pytest.raises(ValueError, match="more columns than heads"):
        columns().restore_tasks(state)
