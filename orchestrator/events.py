"""The channel on which workers tell the driver what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import OrchestratorError, RunFailed
from pipelines.config.pipeline_errors import PipelineError
from strategies.api.strategy_errors import NonFiniteLoss, StrategyError

Event = dict[str, Any]
Handler = Callable[[Event], None]

_PERIOD = 0.2


class EventBuffer:
    """A Ray actor that holds events until the driver takes them; it outlasts restarts of the workers.

    When it dies itself, as Ray may choose it when memory is short, another takes its place. What it held is lost, which
    matters little: the driver reads the commits again in the end.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._failed = False

    def put(self, event: Event) -> None:
        self._failed = self._failed or event["kind"] == "error"
        self._events.append(event)

    def take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def failed(self) -> bool:
        """Whether a worker has met an error that trying again would not mend."""
        return self._failed


def event_buffer() -> Any:
    """A new `EventBuffer` on this node: another node that is lost must not take the events with it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here, max_restarts=-1)(EventBuffer).remote()


class EventPump:
    """Takes events from the buffer in a thread, and hands them on one after another.

    Attributes:
        error: the last "error" event, None while there is none.
    """

    def __init__(self, buffer: Any, handler: Handler) -> None:
        self.error: Event | None = None
        self._buffer, self._handler = buffer, handler
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="everlearn-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand on what is left, and end."""
        self._stop.set()
        self._thread.join()

    def drain(self) -> None:
        """Hand on what has come so far."""
        with self._turn:
            try:
                events: list[Event] = ray.get(self._buffer.take.remote(), timeout=10)
            except (ray.exceptions.RayError, TimeoutError):
                return
            for event in events:
                if event["kind"] == "error":
                    self.error = event
                else:
                    self._handler(event)

    def tell(self, event: Event) -> None:
        """Hand on an event of the driver's own, in its turn."""
        with self._turn:
            self._handler(event)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stop.wait(_PERIOD)
            self.drain()


def describe(error: BaseException) -> Event:
    """An error of a worker as an event."""
    text = str(error) or type(error).__name__
    return {"kind": "error", "type": type(error).__name__, "text": text, "known": isinstance(error, _KNOWN)}


_KNOWN = (OrchestratorError, PipelineError, StrategyError, NonFiniteLoss)


def as_error(event: Mapping[str, Any]) -> Exception:
    """The error that an "error" event tells of, to be raised in the driver."""
    name, text = event["type"], event["text"]
    if name == "NonFiniteLoss" or not event["known"]:
        return RunFailed(text if event["known"] else f"{name} in a worker: {text}")
    for base in (PipelineError, StrategyError, OrchestratorError):
        for kind in (base, *_descendants(base)):
            if kind.__name__ == name:
                return kind([text]) if issubclass(kind, PipelineError) else kind(text)
    return RunFailed(text)


def _descendants(kind: type[Exception]) -> list[type[Exception]]:
    found = kind.__subclasses__()
    return found + [further for sub in found for further in _descendants(sub)]
