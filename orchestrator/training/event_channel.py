"""The channel from the workers of Ray Train to the driver: an actor holds events, a thread of the driver takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.events import Event, RunError, from_dict, to_dict

Handler = Callable[[Event], object]

_PERIOD = 0.2


class EventBuffer:
    """A Ray actor that holds events, as plain data, until the driver takes them; it outlasts restarts of the workers.

    When the actor itself fails, as Ray may choose it when memory is short, another takes its place. The events that it
    held are lost. No commit is lost: the driver reads the commits again at the end.
    """

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._failed = False

    def put(self, data: dict[str, Any]) -> None:
        self._failed = self._failed or isinstance(from_dict(data), RunError)
        self._events.append(data)

    def take(self) -> list[dict[str, Any]]:
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        """Workers that start from now on have nothing to do."""
        self._failed = True

    def failed(self) -> bool:
        """Whether there was an error that another attempt would meet again."""
        return self._failed


class EventSender:
    """The workers' end of the channel; it can be sent to other processes.

    Args:
        buffer: the `EventBuffer`.
    """

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def __call__(self, event: Event) -> Any:
        """Send an event; returns at once, with a reference to wait for."""
        return self._buffer.put.remote(to_dict(event))

    def failed(self) -> bool:
        """As `EventBuffer.failed`."""
        return bool(ray.get(self._buffer.failed.options(max_task_retries=-1).remote()))


def event_buffer() -> Any:
    """A new `EventBuffer` on this node: another node that is lost must not take the events with it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here, max_restarts=-1)(EventBuffer).remote()


class EventPump:
    """Takes events from the buffer in a thread, and hands them on one after another.

    Attributes:
        error: the last `RunError`, None while there is none.
        handler_error: what the handler raised; from then on no event is handed on, and workers that start have
            nothing to do.
    """

    def __init__(self, buffer: Any, handler: Handler, on_handler_error: Callable[[], None] = lambda: None) -> None:
        """
        Args:
            handler: gets every event but `RunError`.
            on_handler_error: called once, when the handler has raised.
        """
        self.error: RunError | None = None
        self.handler_error: Exception | None = None
        self._buffer, self._handler, self._on_handler_error = buffer, handler, on_handler_error
        self._turn = threading.RLock()
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
                taken: list[dict[str, Any]] = ray.get(self._buffer.take.remote(), timeout=10)
            except (ray.exceptions.RayError, TimeoutError):
                return
            for data in taken:
                event = from_dict(data)
                if isinstance(event, RunError):
                    self.error = event
                elif event is not None:
                    self.put(event)

    def put(self, event: Event) -> None:
        """Hand on an event of the driver's own, in its turn."""
        with self._turn:
            if self.handler_error is not None:
                return
            try:
                self._handler(event)
            except Exception as error:
                self.handler_error = error
                with suppress(ray.exceptions.RayError, TimeoutError):
                    ray.get(self._buffer.stop.remote(), timeout=10)
                self._on_handler_error()

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stop.wait(_PERIOD)
            self.drain()
