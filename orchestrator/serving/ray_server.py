"""`everlearn serve` on Ray: starts Ray Serve, deploys, and shows events until a signal stops it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from orchestrator.cluster.connect import cluster
from orchestrator.errors import ClusterError
from orchestrator.serving.local_server import listening
from orchestrator.serving.ray_deployment import DECIDER, RaySettings, application
from orchestrator.serving.ref_follower import ServingEvent

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline


def serve_on_ray(
    pipeline: Pipeline,
    settings: RaySettings,
    *,
    address: str | None,
    host: str,
    port: int,
    verbose: bool,
    on_event: Callable[[ServingEvent], object],
    on_start: Callable[[int], object],
) -> int | None:
    """Serve until SIGTERM or SIGINT, then answer what was begun. To be called in the main thread.

    Args:
        address: of a Ray cluster; None: RAY_ADDRESS, else one on this machine.
        on_event: gets what happens to the commit that is served.
        on_start: called with the port when requests are taken.

    Returns:
        The number of the signal that ended it.

    Raises:
        ClusterError: Ray Serve is not installed, the cluster cannot be reached, or the application does not start.
    """
    from pipelines.config.sections.scaling_section import ScalingSpec

    try:
        from ray import serve
    except ImportError as error:
        raise ClusterError(
            f"Ray Serve is not installed: {str(error).partition('.')[0]}\n"
            "pip install 'everlearn[serve]', or serve without Ray: --local"
        ) from error
    if not verbose:
        logging.getLogger("ray.serve").setLevel(logging.WARNING)  # importing it has set INFO
    with listening(host, port) as free:
        port = free.getsockname()[1]
    name = f"everlearn-{pipeline.name}"
    with cluster(address, ScalingSpec(workers=settings.replicas), verbose=verbose):
        try:
            serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
            serve.run(application(pipeline, settings), name=name, route_prefix="/")
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            serve.shutdown()
            raise ClusterError(f"Ray Serve did not start {name}: {reason}\n--verbose shows its log") from error
        except BaseException:  # told to stop while it starts
            with suppress(Exception):
                serve.delete(name)
            raise
        try:
            with _stopped() as received:
                on_start(port)
                _tell(serve.get_deployment_handle(DECIDER, name), received, on_event)
        finally:
            serve.delete(name)
            if address is None:
                serve.shutdown()
    return received.number


class _Stop(threading.Event):
    number: int | None = None


@contextmanager
def _stopped() -> Iterator[_Stop]:
    """Set by the first SIGTERM or SIGINT."""
    stop = _Stop()

    def handle(number: int, frame: object) -> None:
        stop.number = stop.number or number
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(decider: Any, stop: _Stop, on_event: Callable[[ServingEvent], object]) -> None:
    """Pass on the events of the decider until the end."""
    told = 0
    while not stop.wait(0.5):
        try:
            events = decider.events.remote(told).result(timeout_s=10)
        except Exception:
            # The decider is being replaced. The new one counts from 0, and begins with events that are shown already.
            told = 0
            continue
        for event in events:
            on_event(ServingEvent(**event))
        told += len(events)
