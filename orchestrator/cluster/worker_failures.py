"""Why workers of Ray Train had to be started again, in one line for a person."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ray.train import UserCallback

_MEMORY = re.compile(r"was ([\d.]+ ?[KMGT]?B) used / ([\d.]+ ?[KMGT]?B) limit")


class DeathNotes(UserCallback):  # type: ignore[misc]
    """Tells of deaths, from within Ray Train's controller: one event `restart` for each group that is lost.

    Args:
        events: the run's `EventBuffer`.
    """

    def __init__(self, events: Any) -> None:
        self._events = events

    def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, BaseException]) -> None:
        text = deaths(worker_exceptions)
        if text:
            self._events.put.remote({"kind": "restart", "text": text})


def deaths(errors: Mapping[int, BaseException]) -> str:
    """Which workers died, and why.

    Args:
        errors: what Ray Train says of each rank.

    Returns:
        One line; empty if none of them died. What the others met, when one was gone, is news only where nothing else is
        known.
    """
    causes = {rank: cause for rank in sorted(errors) if (cause := _cause(errors[rank]))}
    told = []
    for cause in dict.fromkeys(causes.values()):
        ranks = [str(rank) for rank in causes if causes[rank] == cause]
        told.append(f"{_workers(ranks)} died: {cause}")
    if not told and (left := [str(rank) for rank in sorted(errors) if peer_lost(errors[rank])]):
        told.append(f"a worker was lost: {_workers(left)} can no longer reach it")
    return "; ".join(told)


def peer_lost(error: BaseException) -> bool:
    """Whether another rank ended in the middle of a message, or Ray ends the group: that rank, or Ray, knows why."""
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
