"""Checks that a store keeps what `Store` promises, for authors of another kind of store.

`check_store(open_empty)` runs all of them; a test suite may run them one by one from `CHECKS`. They need no test
framework: a check that fails raises NonConforming, which says what the store did.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.errors import MissingKey, StorageError
from orchestrator.storage.store import Store

LARGE = 20 * 2**20 + 7
"""Bytes of the largest object that the checks write: more than one part of an upload to S3."""

_BAD_KEYS = (
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../../b",
    "a\\b",
    "a\0b",
    "a\nb",
    "x" * 256,
    "a/" * 500 + "a",
)


class NonConforming(AssertionError):
    """A store does not do what `Store` promises."""


def check_store(open_empty: Callable[[], Store]) -> None:
    """Run all checks.

    Args:
        open_empty: opens a store that holds nothing, a different or an emptied one for each call.

    Raises:
        NonConforming: the store breaks a promise; the message names the check and what was seen.
    """
    for check in CHECKS:
        try:
            check(open_empty())
        except NonConforming as error:
            raise NonConforming(f"{check.__name__}: {error}") from None


def reads_what_was_written(store: Store) -> None:
    store.put("a/b", b"one")
    _same("get", store.get("a/b"), b"one")
    _same("exists", store.exists("a/b"), True)
    _same("size", store.size("a/b"), 3)
    store.put("a/b", b"longer")
    _same("get after a second put", store.get("a/b"), b"longer")
    _same("size after a second put", store.size("a/b"), 6)


def keeps_objects_of_any_size(store: Store) -> None:
    for size in (0, 1, 8 * 2**20 - 1, 8 * 2**20, 8 * 2**20 + 1, LARGE):
        data = random.Random(size).randbytes(size)
        store.put("blob", data)
        found = store.get("blob")
        _same(f"hash of {size} bytes", hashlib.sha256(found).hexdigest(), hashlib.sha256(data).hexdigest())
        _same("size", store.size("blob"), size)


def reports_absent_keys(store: Store) -> None:
    _same("exists", store.exists("nothing"), False)
    _same("read_versioned", store.read_versioned("nothing"), None)
    _same("list", list(store.list()), [])
    store.delete("nothing")
    store.delete_folder("nothing")
    for read in (store.get, store.size):
        _raises(lambda read=read: read("nothing"), MissingKey, "nothing", f"{read.__name__} of an absent key")  # type: ignore[misc]


def creates_only_once(store: Store) -> None:
    for size in (3, LARGE):
        first, second, key = b"a" * size, b"b" * size, f"key-{size}"
        _same("first put_if_absent", store.put_if_absent(key, first), True)
        _same("put_if_absent of other bytes", store.put_if_absent(key, second), False)
        _same("put_if_absent of the same bytes", store.put_if_absent(key, first), False)
        _same("whether the first bytes stayed", store.get(key) == first, True)


def swaps_only_the_version_that_was_read(store: Store) -> None:
    _same("compare_and_swap of nothing", store.compare_and_swap("ref", b"1", None), True)
    _same("compare_and_swap of nothing where something is", store.compare_and_swap("ref", b"x", None), False)
    found = store.read_versioned("ref")
    if found is None:
        raise NonConforming("read_versioned: None for a key that was written")
    _same("read_versioned", found[0], b"1")
    _same("compare_and_swap of the version read", store.compare_and_swap("ref", b"2", found[1]), True)
    _same("compare_and_swap of an old version", store.compare_and_swap("ref", b"3", found[1]), False)
    _same("get", store.get("ref"), b"2")
    store.delete("ref")
    _same("compare_and_swap of a deleted version", store.compare_and_swap("ref", b"4", found[1]), False)
    _same("exists", store.exists("ref"), False)


def lists_in_the_order_of_bytes(store: Store) -> None:
    keys = ["a-b", "a.b", "a/b", "a/c/d", "a/c/e", "a0", "ab/x", "b", "ü/ß"]
    for key in random.Random(0).sample(keys, len(keys)):
        store.put(key, b"")
    _same("list()", list(store.list()), sorted(keys, key=str.encode))
    for prefix in ("a/", "a", "a/c/d", "nothing/"):
        _same(f"list({prefix!r})", list(store.list(prefix)), [key for key in keys if key.startswith(prefix)])
    for prefix, folders in (("", ["a", "ab", "ü"]), ("a/", ["c"]), ("b/", [])):
        _same(f"folders({prefix!r})", list(store.folders(prefix)), folders)


def describes_entries(store: Store) -> None:
    for key, size in (("a/x", 3), ("a/y", 0), ("b", 5)):
        store.put(key, b"1" * size)
    _same("entries", [(one.key, one.bytes) for one in store.entries("a/")], [("a/x", 3), ("a/y", 0)])
    if not all(one.modified > 0 for one in store.entries()):
        raise NonConforming("entries: `modified` must be seconds since 1970")


def lists_more_than_one_response_holds(store: Store) -> None:
    keys = [f"many/{number:04}" for number in range(1050)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    _same("list", list(store.list("many/")), keys)
    store.delete_folder("many")
    _same("list after delete_folder", list(store.list()), [])


def deletes_nothing_beside(store: Store) -> None:
    for key in ("runs/a/x", "runs/a/y/z", "runs/ab", "runs/b/x"):
        store.put(key, b"1")
    store.delete_folder("runs/a")
    _same("list after delete_folder('runs/a')", list(store.list()), ["runs/ab", "runs/b/x"])
    store.delete("runs/ab")
    store.delete("runs/b/x")
    _same("folders", list(store.folders()), [])
    store.put("runs/a/x", b"2")
    store.purge("runs/")
    _same("get after purge", store.get("runs/a/x"), b"2")


def refuses_keys_that_could_leave_the_store(store: Store) -> None:
    calls: dict[str, Callable[[str], Any]] = {
        "get": store.get,
        "put": lambda key: store.put(key, b""),
        "put_if_absent": lambda key: store.put_if_absent(key, b""),
        "read_versioned": store.read_versioned,
        "compare_and_swap": lambda key: store.compare_and_swap(key, b"", "x"),
        "exists": store.exists,
        "size": store.size,
        "delete": store.delete,
        "delete_folder": store.delete_folder,
    }
    for key in _BAD_KEYS:
        for name, call in calls.items():
            what = f"{name} of the key {key[:20]!r} (orchestrator.storage.object_keys.checked_key refuses such keys)"
            _raises(lambda call=call, key=key: call(key), StorageError, "valid storage key", what)  # type: ignore[misc]


def lets_one_of_several_writers_win(store: Store) -> None:
    """As `Store.check` does when a run opens the storage; and it leaves nothing."""
    for number in range(5):
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda rival, n=number: store.put_if_absent(f"race-{n}", b"%d" % rival), range(8)))
        _same("writers that created the same object", won.count(True), 1)
        _same("the object", store.get(f"race-{number}"), b"%d" % won.index(True))
        store.delete(f"race-{number}")
    try:
        store.check()
    except StorageError as error:
        raise NonConforming(str(error)) from error
    _same("list after check", list(store.list()), [])


CHECKS: tuple[Callable[[Store], None], ...] = (
    reads_what_was_written,
    keeps_objects_of_any_size,
    reports_absent_keys,
    creates_only_once,
    swaps_only_the_version_that_was_read,
    lists_in_the_order_of_bytes,
    describes_entries,
    lists_more_than_one_response_holds,
    deletes_nothing_beside,
    refuses_keys_that_could_leave_the_store,
    lets_one_of_several_writers_win,
)
"""Every check takes a store that holds nothing, and may leave objects there."""


def _same(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise NonConforming(f"{what}: {str(found)[:200]} instead of {str(expected)[:200]}")


def _raises(call: Callable[[], Any], kind: type[Exception], words: str, what: str) -> None:
    try:
        call()
    except kind as error:
        if words in str(error):
            return
        raise NonConforming(f"{what}: the message of the error lacks '{words}': {error}") from error
    except Exception as error:
        raise NonConforming(f"{what}: {type(error).__name__} instead of {kind.__name__}: {error}") from error
    raise NonConforming(f"{what}: no {kind.__name__}")
