"""Serving in one process, without Ray: a thread follows the ref, another answers, and uvicorn speaks HTTP.

Requests are answered one after another, each with all cores that PyTorch may use. A model sees the rows of one request
at a time, so that answers equal those of `Predicting.predict` bit for bit.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.serving.http_service import PredictionService
from orchestrator.serving.served_set import followers, turn_all
from orchestrator.serving.serving_metrics import ServingMetrics
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.serving.batch_answers import Reply
    from orchestrator.serving.http_service import Limits
    from orchestrator.serving.ref_follower import RefFollower, ServingEvent
    from orchestrator.serving.request_body import Question
    from orchestrator.serving.served_set import ServedSet

DRAIN_S = 30
"""Seconds that requests may still take after the server got a signal to stop."""


@dataclass
class Serving:
    """What is served, and how.

    Attributes:
        models: that answer.
        pipeline: its name.
        every: seconds between two reads of the ref.
        limits: of requests.
    """

    models: ServedSet
    pipeline: str
    every: float
    limits: Limits


def serve_locally(
    serving: Serving,
    target: Callable[[str], Callable[[], str | None]],
    where: socket.socket,
    *,
    on_event: Callable[[ServingEvent], object],
    on_error: Callable[[Exception], object],
    on_start: Callable[[], object],
) -> int | None:
    """Serve until SIGTERM or SIGINT, then answer what was begun. To be called in the main thread.

    Args:
        target: for a ref, gives the commit that is to be served.
        where: listens.
        on_event: gets what happens to the model.
        on_error: gets what failed unexpectedly in a request.
        on_start: called when requests are taken.

    Returns:
        The number of the signal that ended it.

    Raises:
        Exception: the first model cannot be loaded. Later ones that cannot leave the one before in place.
    """
    models = serving.models
    metrics = ServingMetrics({"pipeline": serving.pipeline, "ref": models.ref})

    def note(ref: str, event: ServingEvent) -> None:
        metrics.event(event.kind, event.commit, answers=ref == models.ref)
        on_event(event)

    with ThreadPoolExecutor(1, "predict") as answering:

        def answered(question: Question) -> Reply:
            return models.answer([question])[0]

        async def answer(question: Question) -> Reply:
            return await asyncio.get_running_loop().run_in_executor(answering, answered, question)

        service = PredictionService(
            answer,
            lambda: models.current,
            metrics,
            ref=models.ref,
            pipeline=serving.pipeline,
            limits=serving.limits,
            commits=models.commits,
            on_error=on_error,
        )
        server = _server(service)
        following = _Following(followers(models, target, note), serving, stop=lambda: _stop(server))
        with _signals(service, server) as received:
            # Called before the first event of the model.
            on_start()
            with following:
                server.run(sockets=[where])
    if following.failed is not None and not received:
        raise following.failed
    return received[0] if received else None


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        PipelineError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PipelineError(
            f"--host {host} --port {port}: cannot listen there: {reason}. Choose another port: --port 0 finds one"
        ) from error


def _server(service: PredictionService) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves the handling of signals to `serve_locally`."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        service,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws="none",
        # The same behaviour wherever it runs, whether or not faster parsers are installed beside uvicorn.
        http="h11",
        loop="asyncio",
        timeout_graceful_shutdown=DRAIN_S,
    )
    return Server(config)


def _stop(server: Any) -> None:
    server.should_exit = True


@contextmanager
def _signals(service: PredictionService, server: Any) -> Iterator[list[int]]:
    """The first signal lets the server drain, the second ends it. Yields the signals that came."""
    received: list[int] = []

    def handle(number: int, frame: object) -> None:
        server.force_exit = bool(received)
        received.append(number)
        service.draining = True
        _stop(server)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            with suppress(TypeError, ValueError):
                signal.signal(number, handler)


class _Following:
    """A thread that follows the refs while the block runs.

    Attributes:
        failed: why not even a first model could be loaded; None: one was, or there was none to load yet.
    """

    def __init__(self, followers: list[RefFollower], serving: Serving, stop: Callable[[], None]) -> None:
        self._followers, self._serving, self._stop_server = followers, serving, stop
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow-ref", daemon=True)
        self.failed: Exception | None = None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        # A load that is under way is not waited for.
        self._thread.join(1.0)

    def _follow(self) -> None:
        while not self._ended.is_set():
            turn_all(self._followers)
            first = self._followers[0]
            if first.failure is not None and self._serving.models.current is None:
                self.failed = first.failure
                self._stop_server()
                return
            self._ended.wait(self._serving.every)
