"""Worker failures of Ray Train, described in one line for a person."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.train import UserCallback

from orchestrator.events import Event, WorkersRestarted

_MEMORY = re.compile(r"was ([\d.]+ ?[KMGT]?B) used / ([\d.]+ ?[KMGT]?B) limit")


class WorkerFailureNotes(UserCallback):  # type: ignore[misc]
    """Reports worker failures from the controller of Ray Train: one event for each failed group.

    Args:
        on_event: gets the events; sent to the controller's process.
    """

    def __init__(self, on_event: Callable[[Event], object]) -> None:
        self._on_event = on_event

    def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, BaseException]) -> None:
        text = failures_in_words(worker_exceptions)
        if text:
            self._on_event(WorkersRestarted(text))


def failures_in_words(errors: Mapping[int, BaseException]) -> str:
    """Which workers failed, and why.

    Args:
        errors: what Ray Train reports for each rank.

    Returns:
        One line; empty if no worker failed. Errors of workers that lost contact to another one are reported only if
        nothing else is known.
    """
    causes = {rank: cause for rank in sorted(errors) if (cause := _cause(errors[rank]))}
    found = []
    for cause in dict.fromkeys(causes.values()):
        ranks = [str(rank) for rank in causes if causes[rank] == cause]
        found.append(f"{_workers(ranks)} failed: {cause}")
    if not found and (left := [str(rank) for rank in sorted(errors) if peer_lost(errors[rank])]):
        found.append(f"a worker was lost: {_workers(left)} can no longer reach it")
    return "; ".join(found)


def peer_lost(error: BaseException) -> bool:
    """Whether the error is a consequence only: another rank ended during a message, or Ray ends the group."""
    text, kinds = str(error).lower(), {kind.__name__ for kind in type(error).__mro__}
    if "ValueError" in kinds:
        return "process group has not been initialized" in text
    return "DistError" in kinds or ("RuntimeError" in kinds and ("gloo" in text or "nccl" in text))


def _workers(ranks: Sequence[str]) -> str:
    return f"worker{'s' if len(ranks) > 1 else ''} {', '.join(ranks)}"


def _cause(error: BaseException) -> str:
    name, text = type(error).__name__, str(error)
    if not (name.startswith("WorkerHealthCheck") or "Actor" in name or "Node" in name):
        return ""
    if "low on memory" in text:
        used = _MEMORY.search(text)
        return "the node ran out of memory" + (f" ({used[1]} of {used[2]} used)" if used else "")
    if "node" in text and re.search(r"node (has )?(died|was terminated|is dead)|node.{0,80}(draining|preempt)", text):
        return "its node was lost"
    return "it does not answer" if name == "WorkerHealthCheckTimeoutError" else "it was killed, or it crashed"
