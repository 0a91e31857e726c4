"""Which output units take part in an experience."""

import math

import torch

from strategies.loop.active_classes import ActiveClasses
from tests.strategies.streams import stream


def test_all_units_are_active_where_no_experience_restricts_them() -> None:
    experiences, outputs = stream("class-incremental")
    active = ActiveClasses(outputs, torch.device("cpu"))
    active.remember(experiences)
    output = torch.randn(2, outputs)
    assert active.of(torch.tensor([0, 1])) is None
    assert active.masked(output, torch.tensor([0, 1])) is output
    assert active.units(experiences[1]).tolist() == list(range(outputs))


def test_in_a_task_incremental_stream_those_of_the_sample_s_task() -> None:
    experiences, outputs = stream("task-incremental")
    active = ActiveClasses(outputs, torch.device("cpu"))
    active.remember(experiences[1:])
    assert active.units(experiences[2]).tolist() == [4, 5]
    masked = active.masked(torch.ones(2, outputs), torch.tensor([2, 1]))
    off = -math.inf
    assert masked.tolist() == [[off, off, off, off, 1, 1], [off, off, 1, 1, off, off]]
    # What is remembered takes the place of what was.
    active.remember(stream("class-incremental")[0])
    assert active.of(torch.tensor([2])) is None
