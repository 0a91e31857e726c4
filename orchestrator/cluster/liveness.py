"""Wait for work on a cluster that may fail. Without this, Ray would end this process a minute after the failure."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

import ray

from orchestrator.errors import ClusterError, RayDied

_PERIOD = 1.0
# A remote head may be restarted with its state; after a minute Ray ends this process.
_PATIENCE_LOCAL, _PATIENCE_REMOTE = 5, 45
_GRACE = 2.0  # seconds: actors may fail a moment before the head does

T = TypeVar("T")


def while_ray_lives(work: Callable[[], T]) -> T:
    """The result of `work`, which runs in a thread of its own as long as the head of the cluster responds.

    In the main thread, Ray Train and Tune would handle Ctrl-C and end the process themselves. If this is called in
    another thread, which is that of a trial, `work` runs in that thread: Ray ties the resources of the trial to it.

    Raises:
        RayDied: the head does not answer any more. The thread of `work` may still wait for it.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    outcome: Future[T] = Future()
    over = threading.Event()
    address = ray.get_runtime_context().gcs_address
    seen = _answers(address)  # False behind Ray Client, for example

    def perform() -> None:
        try:
            value = work()
        except (ray.exceptions.RayError, SystemExit) as error:
            # Raised when an actor fails, and also when the whole cluster does.
            time.sleep(_GRACE)
            dead = seen and not _answers(address)
            ended = error if isinstance(error, ray.exceptions.RayError) else ClusterError("Ray ended the work")
            _fail(outcome, _head_lost(address) if dead else ended)
        except BaseException as error:
            _fail(outcome, error)
        else:
            with suppress(InvalidStateError):
                outcome.set_result(value)

    def watch() -> None:
        here = address.rpartition(":")[0] in ("127.0.0.1", ray.util.get_node_ip_address())
        patience = _PATIENCE_LOCAL if here else _PATIENCE_REMOTE
        misses = 0
        while misses < patience:
            if over.wait(_PERIOD):
                return
            misses = 0 if _answers(address) else misses + 1
        _fail(outcome, _head_lost(address))

    threads = [threading.Thread(target=perform, name="everlearn-work", daemon=True)]
    if seen:
        threads.append(threading.Thread(target=watch, name="everlearn-heartbeat", daemon=True))
    for thread in threads:
        thread.start()
    try:
        return outcome.result()
    finally:
        over.set()
        if outcome.done() and not isinstance(outcome.exception(), RayDied):
            # A thread that frees Ray objects while the caller shuts Ray down would end this process.
            for thread in threads:
                thread.join()


def _head_lost(address: str) -> RayDied:
    return RayDied(
        f"the Ray cluster failed: its head at {address} does not answer any more\n"
        "Finished experiences are kept: run the same command to resume"
    )


def _fail(outcome: Future[T], error: BaseException) -> None:
    with suppress(InvalidStateError):  # the other thread has set the outcome already
        outcome.set_exception(error)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True
