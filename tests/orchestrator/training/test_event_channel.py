"""The channel from the workers to the driver."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import ray

from orchestrator.errors import StorageError
from orchestrator.events import Event, Resumed, WorkersRestarted, to_dict
from orchestrator.training import event_channel
from orchestrator.training.event_channel import EventBuffer, EventPump, EventSender
from orchestrator.training.worker_error import as_event

FAILED = as_event(StorageError("no bucket"))


def test_a_buffer_gives_each_event_once_and_remembers_a_failure() -> None:
    buffer = EventBuffer()
    buffer.put(to_dict(Resumed(0, 1)))
    assert not buffer.failed()
    buffer.put(to_dict(FAILED))
    assert buffer.take() == [to_dict(Resumed(0, 1)), to_dict(FAILED)] and buffer.take() == []
    assert buffer.failed()


class Remote:
    """A buffer whose calls are answered here, or fail as they do when the actor is gone."""

    def __init__(self) -> None:
        self.buffer, self.gone = EventBuffer(), False
        self.take = SimpleNamespace(remote=lambda: self.buffer.take)
        self.stop = SimpleNamespace(remote=lambda: self.buffer.stop)

    def answer(self, call: Any, timeout: float) -> Any:
        if self.gone:
            raise ray.exceptions.RayActorError
        return call()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Remote:
    made = Remote()
    monkeypatch.setattr(event_channel.ray, "get", made.answer)
    return made


def test_a_pump_hands_on_all_that_came_in_its_order_and_keeps_an_error(remote: Remote) -> None:
    seen: list[Event] = []
    pump = EventPump(remote, seen.append)
    sent = [Resumed(0, number) for number in range(3)]
    for event in (*sent, FAILED):
        remote.buffer.put(to_dict(event))
    remote.buffer.put({"kind": "of-a-newer-version"})
    pump.close()
    assert seen == sent and pump.error == FAILED


def test_a_buffer_that_is_gone_for_a_while_is_asked_again(remote: Remote) -> None:
    seen: list[Event] = []
    remote.gone = True
    pump = EventPump(remote, seen.append)
    pump.drain()
    pump.put(WorkersRestarted("killed"))
    remote.gone = False
    remote.buffer.put(to_dict(Resumed(0, 1)))
    pump.close()
    assert seen == [WorkersRestarted("killed"), Resumed(0, 1)] and pump.error is None


def test_a_handler_that_fails_stops_the_workers_and_gets_nothing_more(remote: Remote) -> None:
    seen: list[Event] = []
    stopped: list[bool] = []

    def handler(event: Event) -> None:
        seen.append(event)
        raise ValueError("broken")

    pump = EventPump(remote, handler, on_handler_error=lambda: stopped.append(remote.buffer.failed()))
    for number in range(3):
        remote.buffer.put(to_dict(Resumed(0, number)))
    pump.close()
    assert seen == [Resumed(0, 0)] and isinstance(pump.handler_error, ValueError)
    # New workers find that there is nothing to do before those that are at work are ended.
    assert stopped == [True]


def test_the_sender_gives_plain_data_to_the_buffer() -> None:
    sent: list[Any] = []
    EventSender(SimpleNamespace(put=SimpleNamespace(remote=sent.append)))(Resumed(1, 2))
    assert sent == [to_dict(Resumed(1, 2))]
