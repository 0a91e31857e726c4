"""The loop of `everlearn watch`: one step after another, until a signal or the alarm stops it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.errors import OrchestratorError
from pipelines.config.pipeline_errors import DataError

if TYPE_CHECKING:
    from orchestrator.updates.run_step import StepResult
    from orchestrator.updates.wake_events import Alarm

LONGEST_PAUSE_S = 3600.0


def watch(
    turn: Callable[[], StepResult],
    every: float,
    alarm: Alarm,
    *,
    on_result: Callable[[StepResult], object],
    on_failure: Callable[[OrchestratorError | DataError, float], object],
) -> None:
    """Call `turn` every so many seconds, and after each event, until the alarm is set.

    A turn that fails because something is not available, or whose training fails, is tried again: after a pause that is
    doubled with each failure in a row, up to an hour. So is a turn that fails because of data, such as a file
    that was deleted after it was admitted. Errors of the pipeline file end the loop.

    Args:
        turn: one step.
        every: seconds between two turns.
        alarm: ends the pause between two turns, and the loop.
        on_result: gets what a turn did.
        on_failure: gets the error, and the seconds until the next turn.

    Raises:
        PipelineError, StrategyError: the file is wrong.
    """
    failures = 0
    while not alarm.is_set():
        try:
            on_result(turn())
            failures = 0
        except (OrchestratorError, DataError) as error:
            failures += 1
            on_failure(error, pause(every, failures))
        alarm.wait(pause(every, failures))


def pause(every: float, failures: int) -> float:
    """Seconds until the next turn after so many failures in a row."""
    return every if not failures else max(every, min(every * 2.0 ** min(failures, 20), LONGEST_PAUSE_S))
