"""The channel on which workers tell the driver what happens."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from orchestrator import events
from orchestrator.errors import CorruptBlob, RayDied, RunFailed, StorageError
from orchestrator.events import EventBuffer, EventPump, as_error, describe
from pipelines.config.pipeline_errors import DataError, PipelineError
from strategies.api.strategy_errors import NonFiniteLoss, StrategyError


def test_a_buffer_gives_each_event_once_and_remembers_a_failure() -> None:
    buffer = EventBuffer()
    buffer.put({"kind": "step"})
    assert not buffer.failed()
    buffer.put({"kind": "error"})
    assert buffer.take() == [{"kind": "step"}, {"kind": "error"}] and buffer.take() == []
    assert buffer.failed()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StorageError("no bucket"), StorageError),
        (CorruptBlob("damaged"), CorruptBlob),
        (RayDied("gone"), RayDied),
        (PipelineError(["x.yaml:3: name: is required"]), PipelineError),
        (DataError("mnist: not found"), DataError),
        (StrategyError("ewc and x do not compose"), StrategyError),
        (NonFiniteLoss(2, 17, float("nan")), RunFailed),
    ],
)
def test_an_error_of_a_worker_is_raised_in_the_driver_as_it_was(error: Exception, kind: type[Exception]) -> None:
    found = as_error(pickle.loads(pickle.dumps(describe(error))))
    assert type(found) is kind and str(found) == str(error)


def test_an_unexpected_error_says_what_it_is_and_where() -> None:
    assert str(as_error(describe(ZeroDivisionError("division by zero")))) == (
        "ZeroDivisionError in a worker: division by zero"
    )
    assert "ZeroDivisionError" in str(as_error(describe(ZeroDivisionError())))


class Remote:
    """A buffer whose calls are answered here, or fail as they do when the actor is gone."""

    def __init__(self) -> None:
        self.buffer, self.gone = EventBuffer(), False
        self.take = SimpleNamespace(remote=lambda: self)

    def answer(self) -> list[dict[str, Any]]:
        if self.gone:
            raise ray.exceptions.RayActorError
        return self.buffer.take()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Remote:
    monkeypatch.setattr(events.ray, "get", lambda call, timeout: call.answer())
    return Remote()


def test_a_pump_hands_on_all_that_came_in_its_order_and_keeps_an_error(remote: Remote) -> None:
    heard: list[dict[str, Any]] = []
    pump = EventPump(remote, heard.append)
    for number in range(3):
        remote.buffer.put({"kind": "step", "number": number})
    remote.buffer.put(describe(StorageError("no bucket")))
    pump.close()
    assert [event["number"] for event in heard] == [0, 1, 2]
    assert pump.error is not None and pump.error["text"] == "no bucket"


def test_a_buffer_that_is_gone_for_a_while_is_asked_again(remote: Remote) -> None:
    heard: list[dict[str, Any]] = []
    remote.gone = True
    pump = EventPump(remote, heard.append)
    pump.drain()
    pump.tell({"kind": "restart"})
    remote.gone = False
    remote.buffer.put({"kind": "step"})
    pump.close()
    assert [event["kind"] for event in heard] == ["restart", "step"] and pump.error is None
