"""Laws that every store holds."""

import multiprocessing
import os
import pickle
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.storage.conformance import CHECKS, LARGE
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.store import Store


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_kind_of_store_conforms(any_store: Store, check: Callable[[Store], None]) -> None:
    check(any_store)


def test_a_store_can_be_sent_to_a_worker(store: Store) -> None:
    store.put("key", b"value")
    sent = pickle.loads(pickle.dumps(store))
    assert sent.get("key") == b"value" and sent.uri == store.uri


# Several processes at once

WRITERS = 8


def _in_processes(work: Callable[..., None], *arguments: Any, count: int = WRITERS) -> list[Any]:
    """Run `work(queue, number, start, *arguments)` in processes that begin together; what each put into the queue."""
    context = multiprocessing.get_context("fork")
    queue, start = context.Queue(), context.Barrier(count)
    processes = [context.Process(target=work, args=(queue, number, start, *arguments)) for number in range(count)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    return results


def _put_if_absent(queue: Any, number: int, start: Any, uri: str, size: int) -> None:
    store = open_store(uri)
    data = bytes([number]) * size
    start.wait()
    queue.put((store.put_if_absent("race", data), number))


@pytest.mark.parametrize("size", [100, 9 * 2**20])
def test_of_concurrent_creators_exactly_one_wins(store: Store, size: int) -> None:
    results = _in_processes(_put_if_absent, store.uri, size)
    winners = [number for won, number in results if won]
    assert len(winners) == 1
    assert store.get("race") == bytes(winners) * size


def _increment(queue: Any, number: int, start: Any, uri: str, times: int) -> None:
    store = open_store(uri)
    start.wait()
    for _ in range(times):
        while True:
            found = store.read_versioned("counter")
            value = int(found[0]) if found else 0
            if store.compare_and_swap("counter", b"%d" % (value + 1), found[1] if found else None):
                break
            time.sleep(random.random() * 0.02)
    queue.put(number)


def test_concurrent_increments_lose_nothing(store: Store) -> None:
    _in_processes(_increment, store.uri, 5)
    assert int(store.get("counter")) == 5 * WRITERS


def _write_for_ever(uri: str, begun: Any) -> None:
    store = open_store(uri)
    for number in range(1_000_000):
        store.put(f"put/{number % 3}", bytes([number % 251]) * LARGE)
        store.put_if_absent(f"absent/{number}", bytes([number % 251]) * LARGE)
        begun.set()


def test_a_killed_writer_leaves_no_half_object(store: Store) -> None:
    for delay in (0.01, 0.05, 0.15, 0.4):
        context = multiprocessing.get_context("fork")
        begun = context.Event()
        process = context.Process(target=_write_for_ever, args=(store.uri, begun))
        process.start()
        assert begun.wait(60)
        time.sleep(delay)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        keys = list(store.list())
        assert len(keys) >= 2
        for key in keys:
            data = store.get(key)
            assert len(data) == LARGE and data == data[:1] * LARGE, key
        store.delete_folder("absent")
