"""The window of samples that have passed."""

import torch

from strategies.importance.recent_samples import Window
from strategies.memory.joined_samples import JoinedSamples
from tests.strategies.streams import rows


def test_it_holds_what_has_passed_in_its_order_and_begins_anew() -> None:
    window, samples = Window(), rows((0, 1), 10, 1)
    window.add(samples, torch.tensor([3, 1]), 5)
    window.add(samples, torch.tensor([], dtype=torch.int64), 5)
    window.add(samples, torch.tensor([7]), 6)
    assert window.steps == 3
    inputs, targets, experiences = window.take()
    assert torch.equal(inputs, samples.inputs[[3, 1, 7]]) and torch.equal(targets, samples.targets[[3, 1, 7]])
    assert experiences.tolist() == [5, 5, 6]
    assert window.steps == 0 and window.state_dict() == {}


def test_samples_that_know_where_they_come_from_are_believed() -> None:
    window = Window()
    joined = JoinedSamples([rows((0,), 4, 1), rows((1,), 4, 2)], [2, 3])
    window.add(joined, torch.tensor([1, 6]), 9)
    assert window.take()[2].tolist() == [2, 3]


def test_its_state_brings_another_to_the_same_samples() -> None:
    window, again, samples = Window(), Window(), rows((0, 1), 10, 1)
    window.add(samples, torch.tensor([], dtype=torch.int64), 0)
    again.load_state_dict(window.state_dict())
    assert again.steps == 1
    for one in (window, again):
        one.add(samples, torch.tensor([4, 2]), 0)
    last = Window()
    last.load_state_dict(again.state_dict())
    assert last.steps == 2
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(last.take(), window.take(), strict=True))
    last.load_state_dict({})
    assert last.steps == 0
