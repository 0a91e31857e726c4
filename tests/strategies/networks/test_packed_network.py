"""One network whose weights are shared out among tasks."""

import pytest
import torch
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.networks.packed_network import PackedNetwork
from strategies.networks.weight_ownership import MOST_TASKS
from tests.strategies.models import batch_norm, mlp

INPUTS = torch.rand(3, 1, 6, 6)


def packed(tasks: int = 0, model: nn.Module | None = None, head: str = "3") -> PackedNetwork:
    torch.manual_seed(0)
    network = PackedNetwork(model or mlp(6), head)
    for task in range(tasks):
        network.add_task([2 * task, 2 * task + 1], task, seed=task)
        network.prune(0.5)
        redraw(network)
    return network.eval()


@torch.no_grad()
def redraw(network: PackedNetwork) -> None:
    """Let what nobody owns be anything, as after the training of a further task."""
    for weight, owner in network.weights():
        weight.add_(torch.where(owner == 0, torch.randn_like(weight), 0.0))


def test_a_task_answers_by_its_own_weights_and_those_before_it() -> None:
    network = packed(2)
    first, second = network.answers(INPUTS, [0, 1])
    assert first.shape == second.shape == (3, 2)
    weight, owner = network.weights()[0]
    with torch.no_grad():
        weight.add_(torch.where(owner == 2, 1.0, 0.0))
    again, changed = network.answers(INPUTS, [0, 1])
    assert torch.equal(again, first) and not torch.equal(changed, second)


def test_each_pruning_takes_a_share_of_what_is_free() -> None:
    network = packed(2)
    owner = network.owners.owner
    assert [int((owner == task).sum()) for task in (0, 1, 2)] == [144, 288, 144]
    network.prune(0.0)
    assert not int((owner == 0).sum())


def test_heads_are_drawn_from_the_seed() -> None:
    one, two, three = (packed() for _ in range(3))
    for network, seed in ((one, 5), (two, 5), (three, 6)):
        network.add_task([0, 1], 0, seed)

    def weight(network: PackedNetwork) -> Tensor:
        return network.head(0).layer.get_parameter("weight")

    assert torch.equal(weight(one), weight(two)) and not torch.equal(weight(one), weight(three))


def test_from_the_second_task_on_only_weights_and_the_head_learn() -> None:
    network = packed(1, batch_norm(6), "8").train()
    assert all(p.requires_grad for p in network.body.parameters())
    assert all(layer.training for layer in network.body.modules())
    network.add_task([2, 3], 1, 0)
    network.train()
    for name, parameter in network.body.named_parameters():
        assert parameter.requires_grad == (parameter.dim() > 1), name
    assert not any(layer.training for layer in network.body.modules() if hasattr(layer, "running_mean"))
    assert [p.requires_grad for p in network.heads.parameters()] == [False, False, True, True]


def test_a_stored_state_brings_another_to_the_same_answers() -> None:
    network, other = packed(3), packed()
    state = network.state_dict()
    other.restore_tasks(state)
    other.load_state_dict(state)
    for mine, theirs in zip(other.answers(INPUTS, range(3)), network.answers(INPUTS, range(3)), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("change", ["heads.1.layer.weight", "heads.1.units", "heads.0.layer.bias"])
def test_a_state_that_lacks_a_part_is_refused(change: str) -> None:
    state = dict(packed(3).state_dict())
    del state[change]
    with pytest.raises(ValueError, match=r"missing|one by one"):
        packed().restore_tasks(state)


def test_there_is_room_for_so_many_tasks() -> None:
    state = {f"heads.{task}.units": torch.tensor([0]) for task in range(MOST_TASKS + 1)}
    with pytest.raises(ValueError, match="256 tasks"):
        packed().restore_tasks(state)
    network = packed()
    for task in range(MOST_TASKS):
        network.add_task([0], task, 0)
    with pytest.raises(StrategyError, match="255 experiences at most: use progressive"):
        network.add_task([0], MOST_TASKS, 0)
