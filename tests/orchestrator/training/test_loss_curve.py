"""The loss of an experience as a short curve."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from orchestrator.events import Event, ExperienceStarted, StepDone
from orchestrator.training import loss_curve as module
from orchestrator.training.loss_curve import POINTS, LossCurve
from strategies.loop.process_group import Group, Reduction
from strategies.loop.step_report import StepReport

Curve = tuple[list[tuple[int, float]], int, list[str]]


def curve(steps: int) -> Curve:
    """The points of losses 1, 2, ..., the samples, and the kinds of events that were told."""
    events: list[Event] = []
    made = LossCurve(Group(), 4, 5, events.append)
    for step in range(1, steps + 1):
        made(StepReport(step, steps, 10, torch.tensor(float(step))))
    assert made.complete and made.steps == steps
    return [point[:2] for point in made.points], made.samples, [event.kind for event in events]


@pytest.mark.parametrize(("steps", "stretch"), [(1, 1), (99, 1), (100, 1), (199, 1), (200, 2), (1050, 10)])
def test_points_are_means_over_equal_stretches(steps: int, stretch: int) -> None:
    points, samples, _ = curve(steps)
    assert samples == 10 * steps
    assert [step for step, _ in points] == [*range(stretch, steps + 1, stretch), *([steps] if steps % stretch else [])]
    assert len(points) <= 2 * POINTS
    begin = 0
    for step, loss in points:
        assert loss == pytest.approx((begin + 1 + step) / 2)
        begin = step


def test_ranks_add_up_their_parts_and_rank_0_tells() -> None:
    """What the other rank adds is what this one has, as the ranks' parts are alike here."""

    class Twin(Group):
        def reduce_(self, tensors: Sequence[Tensor], reduction: Reduction) -> None:
            for tensor in tensors:
                tensor.mul_(2)

    for rank in (0, 1):
        events: list[Event] = []
        made = LossCurve(Twin(rank, 2), 0, 1, events.append)
        for step in range(1, 5):
            made(StepReport(step, 4, 10, torch.tensor(step / 2)))
        assert [point[:2] for point in made.points] == [(step, float(step)) for step in range(1, 5)]
        assert ("step" in [event.kind for event in events]) == (rank == 0)


def test_it_tells_of_the_experience_and_of_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    events: list[Event] = []
    made = LossCurve(Group(), 1, 3, events.append)
    for step in range(1, 5):
        now[0] += 0.1
        made(StepReport(step, 4, 10, torch.tensor(float(step))))
    assert events[0] == ExperienceStarted(1, 4, 3)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.step for event in steps] == [3, 4]
    assert steps[0].rate == pytest.approx(30 / 0.3) and steps[0].loss == 3.0


def test_a_curve_is_resumed_where_its_points_end() -> None:
    whole, first = LossCurve(Group(), 0, 1, lambda event: None), LossCurve(Group(), 0, 1, lambda event: None)
    reports = [StepReport(step, 600, 2, torch.tensor(step**0.5)) for step in range(1, 601)]
    for report in reports:
        whole(report)
    for report in reports[:300]:
        first(report)
    assert first.complete
    first(reports[300])
    assert not first.complete
    second = LossCurve(Group(), 0, 1, lambda event: None)
    second.resume(300, 600, first.points)
    for report in reports[300:]:
        second(report)
    assert [point[:2] for point in second.points] == [point[:2] for point in whole.points]
    assert second.samples == whole.samples == 1200
