"""A network beside the model: the steps of plain Adam, whatever the loss is split into, and exact state."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.networks.side_network import SideNetwork, perceptron
from tests.processes import Processes
from tests.strategies.models import build

RATE = 0.03


def learner(group: Group | None = None, model: str = "mlp") -> Learner:
    return Learner(build(model, 6), [], outputs=6, seed=3, group=group)


def inputs() -> Tensor:
    return torch.linspace(-1, 1, 30, dtype=torch.float64).view(10, 3)


def network(side: SideNetwork[nn.Sequential], within: Learner, *address: int) -> nn.Sequential:
    return side.get(within, lambda: perceptron([3, 4, 2]), "test", *address)


def trained(within: Learner, steps: int, side: SideNetwork[nn.Sequential] | None = None) -> SideNetwork[nn.Sequential]:
    """After some steps, in each of which this rank adds its share of the loss, in two parts."""
    side = SideNetwork() if side is None else side
    for _ in range(steps):
        for part in inputs()[within.group.share(10)].split(4):
            side.add_gradients(network(side, within)(part).square().sum() / 10)
        side.step(within, RATE)
    return side


def on_ranks() -> dict[str, Tensor]:
    """For a rank of a group."""
    return trained(learner(Group.current()), 3).state_dict("net")


def test_it_steps_as_adam_does_on_the_whole_loss() -> None:
    side = trained(learner(), 3)
    plain = network(SideNetwork(), learner())
    optimizer = torch.optim.Adam(plain.parameters(), lr=RATE)
    for _ in range(3):
        optimizer.zero_grad()
        (plain(inputs()).square().sum() / 10).backward()
        optimizer.step()
    torch.testing.assert_close(dict(network(side, learner()).state_dict()), dict(plain.state_dict()))


def test_ranks_add_up_their_parts(processes: Callable[[int], Processes]) -> None:
    alone = trained(learner(), 3).state_dict("net")
    one, other = processes(2).run(on_ranks)
    torch.testing.assert_close(one, alone)
    assert all(torch.equal(one[name], other[name]) for name in alone)


def test_it_continues_exactly_from_its_state() -> None:
    half, whole = trained(learner(), 2), trained(learner(), 5)
    resumed: SideNetwork[nn.Sequential] = SideNetwork()
    assert not resumed
    resumed.load_state_dict("net", {"other": torch.zeros(1), **half.state_dict("net")})
    assert resumed
    assert resumed.state_dict("net").keys() == half.state_dict("net").keys()
    trained(learner(), 3, resumed)
    for name, tensor in whole.state_dict("net").items():
        assert torch.equal(resumed.state_dict("net")[name], tensor), name


def test_gradients_by_the_inputs_come_back() -> None:
    side: SideNetwork[nn.Sequential] = SideNetwork()
    x = inputs().requires_grad_()
    (gradient,) = side.add_gradients(network(side, learner())(x).sum(), [x])
    weights = [layer.weight for layer in network(side, learner()) if isinstance(layer, nn.Linear)]
    active = (network(side, learner())[0](x) > 0).double()
    torch.testing.assert_close(gradient, active * weights[1].sum(0) @ weights[0])
    assert x.grad is None


def test_initial_weights_depend_on_the_address_and_leave_the_random_state() -> None:
    before = torch.get_rng_state()
    first = network(SideNetwork(), learner(), 1)[0].weight
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(network(SideNetwork(), learner(), 1)[0].weight, first)
    assert not torch.equal(network(SideNetwork(), learner(), 2)[0].weight, first)


def test_it_computes_in_the_models_precision() -> None:
    assert network(SideNetwork(), learner())[0].weight.dtype == torch.float64
    assert network(SideNetwork(), learner(model="mlp-float32"))[0].weight.dtype == torch.float32
