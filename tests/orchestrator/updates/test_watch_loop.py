from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.errors import OrchestratorError, StorageError
from orchestrator.updates.run_step import StepResult
from orchestrator.updates.wake_events import Alarm
from orchestrator.updates.watch_loop import LONGEST_PAUSE_S, pause, watch
from pipelines.config.pipeline_errors import DataError, PipelineError


class Turns:
    """Turns that end as they are told, and stop the loop after the last; no pause is waited for."""

    def __init__(self, *ends: Exception | str) -> None:
        self.left: Iterator[Exception | str] = iter(ends)
        self.count = len(ends)
        self.done: list[str] = []
        self.pauses: list[float] = []
        self.alarm = Alarm()
        self.alarm.wait = self._waited  # type: ignore[method-assign]

    def _waited(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def __call__(self) -> StepResult:
        end = next(self.left)
        self.count -= 1
        if not self.count:
            self.alarm.set()
        if isinstance(end, Exception):
            raise end
        return StepResult("x", end)

    def run(self) -> None:
        watch(self, 300, self.alarm, on_result=lambda r: self.done.append(r.outcome), on_failure=self._failed)

    def _failed(self, error: OrchestratorError | DataError, seconds: float) -> None:
        self.done.append(f"{error}, {seconds:g}")


def test_failures_are_tried_again_after_longer_and_longer() -> None:
    turns = Turns("trained", StorageError("away"), StorageError("away"), "nothing-new", StorageError("away"))
    turns.run()
    assert turns.done == ["trained", "away, 600", "away, 1200", "nothing-new", "away, 600"]
    assert turns.pauses == [300, 600, 1200, 300, 600]


def test_data_that_is_gone_does_not_end_the_loop() -> None:
    turns = Turns(DataError("a.npz: was admitted, and is gone"), "nothing-new")
    turns.run()
    assert turns.done == ["a.npz: was admitted, and is gone, 600", "nothing-new"]


def test_an_error_of_the_file_ends_the_loop() -> None:
    turns = Turns("trained", PipelineError("wrong"), "never")
    with pytest.raises(PipelineError):
        turns.run()
    assert turns.done == ["trained"]


def test_pauses() -> None:
    assert [pause(300, failures) for failures in (0, 1, 3, 9, 10_000)] == [300, 600, 2400, 3600, LONGEST_PAUSE_S]
    assert pause(86400, 3) == 86400
