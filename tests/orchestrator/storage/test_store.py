"""Laws that every store holds."""

import hashlib
import multiprocessing
import os
import pickle
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import MissingKey, StorageError
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.store import Store

BIG = 20 * 2**20 + 7


def test_what_is_put_is_got_back(any_store: Store) -> None:
    store = any_store
    store.put("a/b", b"one")
    assert store.get("a/b") == b"one"
    assert store.exists("a/b") and store.size("a/b") == 3
    store.put("a/b", b"longer")
    assert store.get("a/b") == b"longer" and store.size("a/b") == 6


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20 - 1, 8 * 2**20, 8 * 2**20 + 1, BIG])
def test_any_size_survives(any_store: Store, size: int) -> None:
    store = any_store
    data = random.Random(size).randbytes(size)
    store.put("blob", data)
    assert hashlib.sha256(store.get("blob")).digest() == hashlib.sha256(data).digest()
    assert store.size("blob") == size


def test_absent_keys(any_store: Store) -> None:
    store = any_store
    assert not store.exists("nothing")
    assert store.read_versioned("nothing") is None
    assert list(store.list()) == []
    store.delete("nothing")
    store.delete_folder("nothing")
    for read in (store.get, store.size):
        with pytest.raises(MissingKey, match="nothing"):
            read("nothing")


@pytest.mark.parametrize("size", [3, BIG])
def test_put_if_absent_keeps_the_first(any_store: Store, size: int) -> None:
    store = any_store
    first, second = b"a" * size, b"b" * size
    assert store.put_if_absent("key", first)
    assert not store.put_if_absent("key", second)
    assert not store.put_if_absent("key", first)
    assert store.get("key") == first


def test_compare_and_swap(any_store: Store) -> None:
    store = any_store
    assert store.compare_and_swap("ref", b"1", None)
    assert not store.compare_and_swap("ref", b"x", None)
    found = store.read_versioned("ref")
    assert found is not None and found[0] == b"1"
    assert store.compare_and_swap("ref", b"2", found[1])
    assert not store.compare_and_swap("ref", b"3", found[1])
    assert store.get("ref") == b"2"
    store.delete("ref")
    assert not store.compare_and_swap("ref", b"4", found[1])
    assert not store.exists("ref")


def test_listing_is_in_byte_order_and_by_string_prefix(any_store: Store) -> None:
    store = any_store
    keys = ["a-b", "a.b", "a/b", "a/c/d", "a/c/e", "a0", "ab/x", "b", "ü/ß"]
    for key in random.Random(0).sample(keys, len(keys)):
        store.put(key, b"")
    assert list(store.list()) == sorted(keys, key=str.encode)
    assert list(store.list("a/")) == ["a/b", "a/c/d", "a/c/e"]
    assert list(store.list("a")) == ["a-b", "a.b", "a/b", "a/c/d", "a/c/e", "a0", "ab/x"]
    assert list(store.list("a/c/d")) == ["a/c/d"]
    assert list(store.list("nothing/")) == []
    assert list(store.folders()) == ["a", "ab", "ü"]
    assert list(store.folders("a/")) == ["c"]
    assert list(store.folders("b/")) == []


def test_more_keys_than_one_answer_holds(any_store: Store) -> None:
    store = any_store
    from orchestrator.storage.parallel_requests import in_parallel

    keys = [f"many/{number:04}" for number in range(1050)]
    in_parallel(lambda key: store.put(key, b""), keys, 16)
    assert list(store.list("many/")) == keys
    store.delete_folder("many")
    assert list(store.list()) == []


def test_delete_folder_takes_nothing_beside(any_store: Store) -> None:
    store = any_store
    for key in ("runs/a/x", "runs/a/y/z", "runs/ab", "runs/b/x"):
        store.put(key, b"1")
    store.delete_folder("runs/a")
    assert list(store.list()) == ["runs/ab", "runs/b/x"]
    store.delete("runs/ab")
    store.delete("runs/b/x")
    assert list(store.folders()) == []


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a\\b", "a\0b", "a\nb", "x" * 256, "a/" * 500 + "a"]
)
def test_keys_that_could_leave_the_store_are_refused(any_store: Store, key: str) -> None:
    store = any_store
    calls: list[Callable[[], Any]] = [
        lambda: store.get(key),
        lambda: store.put(key, b""),
        lambda: store.put_if_absent(key, b""),
        lambda: store.read_versioned(key),
        lambda: store.compare_and_swap(key, b"", "x"),
        lambda: store.exists(key),
        lambda: store.size(key),
        lambda: store.delete(key),
        lambda: store.delete_folder(key),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="valid storage key"):
            call()


def test_check_passes_and_leaves_nothing(any_store: Store) -> None:
    store = any_store
    store.check()
    assert list(store.list()) == []


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
        store.put(f"put/{number % 3}", bytes([number % 251]) * BIG)
        store.put_if_absent(f"absent/{number}", bytes([number % 251]) * BIG)
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
            assert len(data) == BIG and data == data[:1] * BIG, key
        store.delete_folder("absent")
