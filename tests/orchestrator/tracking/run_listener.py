"""A run as its tracker sees it, and the warnings that a person would see."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.events import Event, StepDone, Warned
from orchestrator.lineage.commit import Commit
from orchestrator.progress.run_reporter import Reporter
from orchestrator.tracking.run_tracker import Tracker
from tests.orchestrator.tracking.chains import make_pipeline


class Listener(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def event(self, event: Event) -> None:
        assert isinstance(event, Warned)
        self.warnings.append(event.text)


def track(uri: str, listener: Listener, chain: list[Commit], length: int = 5) -> Tracker:
    return Tracker(make_pipeline(uri), key=chain[-1].id, stream_length=length, reporter=listener)


def step_events(commit: Commit) -> list[StepDone]:
    index = commit.experience.index
    return [StepDone(index, step + 1, 1000, loss, step, time=time) for step, loss, time in commit.losses]


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def run_through(tracker: Tracker, chain: list[Commit], pause: float = 0.0) -> None:
    """What a driver does with a tracker."""
    tracker.commit([])
    for index, commit in enumerate(chain):
        for event in step_events(commit):
            tracker.losses([event])
        tracker.commit(chain[: index + 1])
        time.sleep(pause)
    tracker.finish(chain)
