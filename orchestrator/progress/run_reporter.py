"""The interface of reporters, which receive the events of the driver and show them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypedDict

from orchestrator.events import CommitWritten, Event, ExperienceStarted, StageStarted, StepDone, WorkersRestarted
from orchestrator.progress.number_format import percent
from orchestrator.result import RunResult

STARTING, RESTARTING, FINISHING = "starting", "restarting", "finishing"


class Summary(TypedDict, total=False):
    """What is known when a run starts. Only the first two entries are always present."""

    pipeline: str
    experiences: int
    reused: int
    setting: str
    dataset: str
    model: str
    strategies: list[str]
    workers: int | str
    storage: str
    tracking: str
    class_names: list[str] | None
    """The name of each class of the dataset; None: classes have numbers."""
    domains: list[str] | None
    """The name of each experience where all have the same classes; None: they have none."""
    chain: list[dict[str, Any]]
    """The commits that are reused, as JSON, oldest first; of a long stream without an end the newest of them."""


class RunState:
    """The state of a run, computed from its events so far. Reporters read it and keep no state of their own.

    Attributes:
        index: index of the experience in training; None before the first one.
        step, steps: optimiser steps that are done in it, and all of its steps.
        loss, rate: latest loss, and samples per second of all workers together; None if unknown.
        stage: what is being done other than training steps, or "".
        score: mean score on all experiences up to the latest commit, as text; "" before the first.
    """

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.started = time.monotonic()
        self.index: int | None = None
        self.step = 0
        self.steps = 0
        self.loss: float | None = None
        self.rate: float | None = None
        self.stage = STARTING
        self.score = ""
        if summary.get("reused", 0) >= summary["experiences"]:
            self.stage = FINISHING

    @property
    def experiences(self) -> int:
        return self.summary["experiences"]

    def take(self, event: Event) -> None:
        """Update the state with one event; those that change nothing here are ignored."""
        match event:
            case ExperienceStarted():
                self.index, self.steps = event.index, event.steps
                self.step, self.loss, self.rate, self.stage = 0, None, None, ""
            case StepDone():
                self.index, self.step, self.steps = event.index, event.step, event.steps
                self.loss, self.rate, self.stage = event.loss, event.rate, ""
            case StageStarted():
                self.stage = event.stage
            case CommitWritten():
                self.score = so_far(event.commit, words=" so far")
                if event.commit["experience"]["index"] == self.experiences - 1:
                    self.stage = FINISHING
            case WorkersRestarted():
                self.stage = RESTARTING


class Reporter:
    """A reporter that shows nothing, and the base of the others. Use it as a context manager, so that the terminal is
    restored.

    `start` is called once, `event` any number of times afterwards, `finish` last unless the run failed. Only `indexed`
    is called before `start`.
    """

    def indexed(self, done: int, of: int) -> None:
        """So many of the files of a stream in lanes that are new have been looked at, or hashed."""

    def start(self, summary: Summary) -> None:
        """The run begins; nothing is trained yet."""

    def event(self, event: Event) -> None:
        """An event: see `orchestrator.events`."""

    def finish(self, result: RunResult) -> None:
        """The run reached the end of the stream."""

    def close(self) -> None:
        """Restore the terminal, also after a failure. A second call has no effect."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def score_so_far(commit: Mapping[str, Any]) -> float | None:
    """Mean score on the test sets of all experiences up to that of the commit; None if unknown."""
    index, name = commit["experience"]["index"], _score(commit)["name"]
    seen = [entry for entry in commit["row"] if entry["experience"] <= index and entry["total"]]
    values = [(entry.get("scores") or {}).get(name) for entry in seen]
    if name == "accuracy":
        values = [entry["correct"] / entry["total"] for entry in seen]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def so_far(commit: Mapping[str, Any], *, width: int = 0, words: str = "") -> str:
    """The score's name, `words`, and `score_so_far` of at least `width` characters, for a person."""
    score, value = _score(commit), score_so_far(commit)
    name = score["name"].replace("_", " ") + words
    if score["unit"] == "fraction":
        return f"{name} {percent(value):>{width}} %"
    return f"{name} {'-' if value is None else format(value, '.4g'):>{width}}"


def _score(commit: Mapping[str, Any]) -> Mapping[str, Any]:
    scores: Sequence[Mapping[str, Any]] = commit.get("scores") or [{"name": "accuracy", "unit": "fraction"}]
    return scores[0]
