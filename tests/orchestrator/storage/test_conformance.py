"""The checks for stores: stores that break one promise each are noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from orchestrator.storage.conformance import NonConforming, check_store
from orchestrator.storage.store import Entry
from tests.orchestrator.storage.memory_store import MemoryStore


class Overwrites(MemoryStore):
    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True


class IgnoresVersions(MemoryStore):
    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        self.put(key, data)
        return True


class ListsInOrderOfWriting(MemoryStore):
    def list(self, prefix: str = "") -> Iterator[str]:
        yield from (key for key in tuple(self._kept) if key.startswith(prefix))


class ListsOnePage(MemoryStore):
    def list(self, prefix: str = "") -> Iterator[str]:
        yield from list(super().list(prefix))[:1000]


class DeletesNeighbours(MemoryStore):
    def delete_folder(self, folder: str) -> None:
        for key in list(self.list(folder)):
            self.delete(key)


class TakesAnyKey(MemoryStore):
    def put(self, key: str, data: bytes) -> None:
        self._kept[key] = (bytes(data), 1.0)


class HasNoTimes(MemoryStore):
    def entries(self, prefix: str = "") -> Iterator[Entry]:
        yield from (Entry(key, self.size(key), 0.0) for key in self.list(prefix))


@pytest.mark.parametrize(
    ("kind", "noticed"),
    [
        (Overwrites, "creates_only_once: put_if_absent of other bytes: True instead of False"),
        (IgnoresVersions, "creates_only_once|swaps_only_the_version_that_was_read"),
        (ListsInOrderOfWriting, r"lists_in_the_order_of_bytes: list\(\)"),
        (ListsOnePage, "lists_more_than_one_response_holds"),
        (DeletesNeighbours, "deletes_nothing_beside"),
        (TakesAnyKey, "refuses_keys_that_could_leave_the_store: put of the key ''"),
        (HasNoTimes, "describes_entries: entries: `modified`"),
    ],
)
def test_a_broken_promise_is_noticed(kind: Callable[[str], MemoryStore], noticed: str) -> None:
    names = count()
    with pytest.raises(NonConforming, match=noticed):
        check_store(lambda: kind(f"memory://{next(names)}"))


def test_a_store_that_keeps_its_promises_passes() -> None:
    names = count()
    check_store(lambda: MemoryStore(f"memory://{next(names)}"))
