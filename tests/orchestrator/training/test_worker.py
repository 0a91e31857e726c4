"""What a worker of Ray Train tells, and when it does not begin. Workers at work: test_ray_train."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed import DistNetworkError

from orchestrator.errors import StorageError
from orchestrator.events import RunError, to_dict
from orchestrator.training import event_channel, worker
from orchestrator.training.event_channel import EventBuffer, EventSender
from orchestrator.training.worker import train_loop
from strategies.loop.process_group import Group


class Events:
    """A buffer whose remote calls are made here."""

    def __init__(self) -> None:
        self.buffer = EventBuffer()
        self.failed = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.buffer.failed))
        self.put = SimpleNamespace(remote=self.buffer.put)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    monkeypatch.setattr(worker.ray, "get", lambda value: value)
    monkeypatch.setattr(event_channel.ray, "get", lambda value: value)
    monkeypatch.setattr(worker.ray.util, "get_current_placement_group", lambda: "group")
    monkeypatch.setattr(sys, "path", [*sys.path])
    return Events()


def config(events: Events) -> dict[str, Any]:
    return {
        "events": EventSender(events),
        "search_path": ["/of the user", sys.path[0]],
        "threads": torch.get_num_threads(),
    }


def kinds(events: Events) -> list[str]:
    return [event["kind"] for event in events.buffer.take()]


def test_it_says_which_group_it_is_of_and_finds_the_user_s_modules(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[dict[str, Any]] = []
    monkeypatch.setattr(worker, "_train", trained.append)
    length = len(sys.path)
    train_loop(config(events))
    assert len(trained) == 1 and kinds(events) == ["group"]
    assert sys.path[length:] == ["/of the user"]


def test_after_an_error_that_would_come_again_it_does_not_begin(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_train", lambda _: pytest.fail("it began"))
    events.buffer.put(to_dict(RunError("StorageError", "no bucket", known=True)))
    train_loop(config(events))
    assert kinds(events) == ["error"]


@pytest.mark.parametrize(("error", "told"), [(StorageError("no bucket"), True), (DistNetworkError("timed out"), False)])
@pytest.mark.parametrize("workers", [1, 2])
def test_its_own_error_is_reported_and_that_another_is_gone_is_not(
    error: Exception, told: bool, workers: int, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(worker, "_train", fail)
    monkeypatch.setattr(worker.Group, "current", lambda: Group(0, workers))
    # Alone, it has told all that Ray Train would start another worker for; others that wait for it must be ended.
    with nullcontext() if told and workers == 1 else pytest.raises(type(error)):
        train_loop(config(events))
    assert ("error" in kinds(events)) == told
