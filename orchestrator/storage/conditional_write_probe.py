"""Trying out at start whether a store holds the conditional writes that protect the lineage."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from orchestrator.storage.store import Store

RIVALS = 4


def probe(store: "Store") -> None:
    """Write, read, list and delete a small object, and lose the races that must be lost.

    Some S3 servers ignore `If-None-Match` and `If-Match`, or let several concurrent writers win: two drivers on one
    pipeline would overwrite each other there.

    Raises StorageError when anything fails or a condition does not hold.
    """
    key = f"probe-{uuid.uuid4().hex}"
    try:
        with ThreadPoolExecutor(RIVALS) as pool:
            won = list(pool.map(lambda rival: store.put_if_absent(key, b"%d" % rival), range(RIVALS)))
        _require(store, won.count(True) == 1, "lets several writers create the same object")
        found = store.read_versioned(key)
        _require(store, found is not None and found[0] == b"%d" % won.index(True), "does not return what was written")
        assert found is not None
        _require(store, not store.put_if_absent(key, b"again"), "does not hold If-None-Match")
        _require(store, store.compare_and_swap(key, b"swapped", found[1]), "refuses a valid If-Match")
        _require(store, not store.compare_and_swap(key, b"stale", found[1]), "does not hold If-Match")
        _require(store, store.get(key) == b"swapped", "does not return what was written")
        _require(store, list(store.list(key)) == [key], "does not list what was written")
    finally:
        store.delete(key)
    _require(store, not store.exists(key), "does not delete")


def _require(store: "Store", holds: bool, otherwise: str) -> None:
    if not holds:
        raise StorageError(
            f"{store.uri}: this storage {otherwise}, so two runs could overwrite each other's work.\n"
            "Use a folder, AWS S3, or a server with conditional writes (for example Ceph or MinIO) as `storage`"
        )
