"""The loss of an experience as a short curve: at most `POINTS` means over equal stretches of steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from orchestrator.events import Event, ExperienceStarted, StepDone
from strategies.loop.process_group import Reduction

if TYPE_CHECKING:
    from strategies.loop.process_group import Group
    from strategies.loop.step_report import StepReport

POINTS = 100
EVERY_SECONDS = 0.25


class LossCurve:
    """Observes the learner, keeps the curve and reports the progress.

    Attributes:
        steps: steps done.
        samples: samples seen, replayed ones included.
        points: (steps done, mean loss of the global batches since the last point, unix milliseconds).
    """

    def __init__(self, group: Group, index: int, of: int, on_event: Callable[[Event], object]) -> None:
        """
        Args:
            index: the experience; of: how many there are.
            on_event: gets the events.
        """
        self.points: list[tuple[int, float, int]] = []
        self.samples = 0
        self.steps = 0
        self._group, self._index, self._of, self._on_event = group, index, of, on_event
        self._begun = False
        self._sum: Tensor | None = None
        self._count = 0
        self._reported, self._reported_samples = time.monotonic(), 0

    @property
    def complete(self) -> bool:
        """Whether every step so far is in a point: then the curve can be resumed from its points alone."""
        return not self._count

    def resume(self, steps: int, samples: int, points: list[tuple[int, float, int]]) -> None:
        """Resume the curve after `step` steps."""
        self.steps, self.samples, self.points = steps, samples, list(points)
        self._reported_samples = samples

    def __call__(self, report: StepReport) -> None:
        if not self._begun:
            self._begun = True
            self._on_event(ExperienceStarted(self._index, report.steps, self._of))
        self.steps = report.step
        self.samples += report.samples
        self._sum = report.loss if self._sum is None else self._sum + report.loss
        self._count += 1
        if report.step % max(1, report.steps // POINTS) == 0 or report.step == report.steps:
            total = self._sum.to(torch.float64).reshape(1)
            self._group.reduce_([total], Reduction.SUM)
            self.points.append((report.step, float(total) / self._count, time.time_ns() // 1_000_000))
            self._sum, self._count = None, 0
        self._report(report)

    def _report(self, report: StepReport) -> None:
        now = time.monotonic()
        if (
            self._group.rank != 0
            or not self.points
            or (now - self._reported < EVERY_SECONDS and report.step < report.steps)
        ):
            return
        rate = (self.samples - self._reported_samples) / max(now - self._reported, 1e-9)
        self._reported, self._reported_samples = now, self.samples
        loss_step, loss, at = self.points[-1]
        self._on_event(StepDone(self._index, report.step, report.steps, loss, loss_step, rate, at))
