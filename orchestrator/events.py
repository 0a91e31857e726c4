"""What happens in a run, as frozen dataclasses, and their form as plain data.

Workers send events to the driver, the driver shows them to reporters, tracking, Prometheus and callbacks, and a job
relays them to the terminal that follows it. On the way they are plain data: `to_dict` and `from_dict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Base of the events.

    Class attributes:
        kind: names the class in plain data.
    """

    kind: ClassVar[str] = ""


@dataclass(frozen=True)
class ExperienceStarted(Event):
    """The first optimiser step of an experience is done.

    Attributes:
        index: position of the experience in the stream, from 0.
        of: number of experiences; 0 if it is not known.
        steps: optimiser steps to do in it.
    """

    kind = "experience"

    index: int
    steps: int
    of: int = 0


@dataclass(frozen=True)
class StepDone(Event):
    """Progress within an experience, a few times a second at most.

    Attributes:
        index: of the experience.
        step, steps: optimiser steps done and to do.
        loss: mean loss over the global batches up to `loss_step`, since the mean before.
        loss_step: the optimiser step to which the loss belongs; None: `step`.
        rate: samples per second over all workers; None if it is not known.
        time: of the loss, in Unix milliseconds.
    """

    kind = "step"

    index: int
    step: int
    steps: int
    loss: float
    loss_step: int | None = None
    rate: float | None = None
    time: int = 0


@dataclass(frozen=True)
class StageStarted(Event):
    """After the steps of an experience: `consolidating`, `evaluating` or `committing`."""

    kind = "stage"

    index: int
    stage: str


@dataclass(frozen=True)
class Resumed(Event):
    """Training continues within experience `index`, after optimiser step `step`."""

    kind = "resumed"

    index: int
    step: int


@dataclass(frozen=True)
class CheckpointWritten(Event):
    """A checkpoint within an experience was written, after optimiser step `step`; `bytes` is its size."""

    kind = "checkpoint"

    step: int
    bytes: int = 0


@dataclass(frozen=True)
class CommitWritten(Event):
    """The commit of an experience was written.

    Attributes:
        commit: the commit as JSON (`orchestrator.lineage.commit.Commit.document`).
        upload: seconds that writing it took; None if it was there already.
    """

    kind = "commit"

    commit: Mapping[str, Any]
    upload: float | None = None


@dataclass(frozen=True)
class Warned(Event):
    """A warning for the person who follows the run."""

    kind = "warning"

    text: str


@dataclass(frozen=True)
class Waiting(Event):
    """The run waits before it can train; `text` says for what. A log without a terminal shows it."""

    kind = "waiting"

    text: str


@dataclass(frozen=True)
class WorkersRestarted(Event):
    """Workers, or Ray Train's controller, failed and are started again; `text` says why."""

    kind = "restart"

    text: str


@dataclass(frozen=True)
class TrackingOpened(Event):
    """The MLflow run exists.

    Attributes:
        uri: of MLflow, without secrets.
        run_id: of the MLflow run.
        url: of its page; None where no server shows one.
    """

    kind = "tracking"

    uri: str
    run_id: str | None
    url: str | None = None


@dataclass(frozen=True)
class GroupStarted(Event):
    """New workers start, in this placement group of Ray. For the driver alone: it is not plain data."""

    kind = "group"

    group: Any


@dataclass(frozen=True)
class RunError(Event):
    """An error that would occur again in another attempt.

    Attributes:
        type: name of its class.
        text: its message.
        known: whether the message alone is enough for a person.
        where: the line of the user's own code at which it arose, empty where there is none.
        trace: the traceback, for `--debug`.
    """

    kind = "error"

    type: str
    text: str
    known: bool = False
    where: str = ""
    trace: str = ""


_KINDS = {kind.kind: kind for kind in Event.__subclasses__()}


def to_dict(event: Event) -> dict[str, Any]:
    """The event as plain data: its kind and its fields."""
    return {"kind": event.kind, **{field.name: getattr(event, field.name) for field in fields(event)}}


def from_dict(data: Mapping[str, Any]) -> Event | None:
    """The event that `to_dict` made plain data of; None for a kind that this version does not know.

    Fields that this version does not know are ignored: the sender may be newer.

    Raises:
        KeyError, TypeError: it has no kind, or lacks a field.
    """
    found = _KINDS.get(data["kind"])
    if found is None:
        return None
    return found(**{field.name: data[field.name] for field in fields(found) if field.name in data})
