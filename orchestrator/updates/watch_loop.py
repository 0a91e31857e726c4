"""Steps again and again, until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.updates.run_step import StepResult

LONGEST_PAUSE_S = 3600.0


def watch(
    turn: Callable[[], StepResult],
    every: float,
    stop: threading.Event,
    *,
    on_result: Callable[[StepResult], object],
    on_failure: Callable[[OrchestratorError, float], object],
) -> None:
    """Call `turn` every so many seconds until `stop` is set.

    A turn that fails because something is not available, or whose training fails, is tried again: after a pause that is
    doubled with each failure in a row, up to an hour. Errors of the pipeline file end the loop.

    Args:
        turn: one step.
        every: seconds between two turns.
        stop: also ends the pause between two turns.
        on_result: gets what a turn did.
        on_failure: gets the error, and the seconds until the next turn.

    Raises:
        PipelineError, StrategyError: the file is wrong.
    """
    failures = 0
    while not stop.is_set():
        try:
            on_result(turn())
            failures = 0
        except OrchestratorError as error:
            failures += 1
            on_failure(error, pause(every, failures))
        stop.wait(pause(every, failures))


def pause(every: float, failures: int) -> float:
    """Seconds until the next turn after so many failures in a row."""
    return every if not failures else max(every, min(every * 2.0 ** min(failures, 20), LONGEST_PAUSE_S))
