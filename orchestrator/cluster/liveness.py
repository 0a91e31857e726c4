"""Waiting for work on a cluster that may die: left to itself, Ray would end this process after a minute."""

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
# A head on another machine may be started anew, with its state kept; after a minute Ray ends this process.
_PATIENCE_HERE, _PATIENCE_ELSEWHERE = 5, 45
_GRACE = 2.0  # in which the head follows the actors that died first

T = TypeVar("T")


def while_ray_lives(work: Callable[[], T]) -> T:
    """What `work` returns; it runs in a thread of its own, as long as the head of the cluster answers.

    In the main thread, Ray Train and Tune would take over Ctrl-C and end the process in their own way. Where this is
    called in another thread, which is a trial's, `work` runs in it: Ray knows by it which resources it may use.

    Raises:
        RayDied: the head does not answer any more. The work may still wait for it, in its thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    outcome: Future[T] = Future()
    over = threading.Event()
    address = ray.get_runtime_context().gcs_address
    seen = _answers(address)  # not behind Ray Client, say

    def perform() -> None:
        try:
            value = work()
        except (ray.exceptions.RayError, SystemExit) as error:
            # So it looks when an actor dies, and when all of Ray does.
            time.sleep(_GRACE)
            dead = seen and not _answers(address)
            ended = error if isinstance(error, ray.exceptions.RayError) else ClusterError("Ray has ended the work")
            _fail(outcome, _died(address) if dead else ended)
        except BaseException as error:
            _fail(outcome, error)
        else:
            with suppress(InvalidStateError):
                outcome.set_result(value)

    def watch() -> None:
        here = address.rpartition(":")[0] in ("127.0.0.1", ray.util.get_node_ip_address())
        patience = _PATIENCE_HERE if here else _PATIENCE_ELSEWHERE
        misses = 0
        while misses < patience:
            if over.wait(_PERIOD):
                return
            misses = 0 if _answers(address) else misses + 1
        _fail(outcome, _died(address))

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
            # A thread that lets go of Ray's objects while the caller shuts Ray down would end this process.
            for thread in threads:
                thread.join()


def _died(address: str) -> RayDied:
    return RayDied(
        f"Ray has died: its head at {address} does not answer any more\n"
        "What was trained is kept: the same command goes on"
    )


def _fail(outcome: Future[T], error: BaseException) -> None:
    with suppress(InvalidStateError):  # the other thread was first
        outcome.set_exception(error)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True
