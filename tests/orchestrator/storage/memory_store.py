"""A store in this process's memory, written as a plug-in would write one, and registered as one."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import MissingKey
from orchestrator.storage.conditional_write_probe import probe
from orchestrator.storage.object_keys import checked_key, checked_prefix
from orchestrator.storage.store import Entry

_STORES: dict[str, MemoryStore] = {}


def open_memory(uri: str) -> MemoryStore:
    """The store of that URI: the same one each time, while the process lives."""
    return _STORES.setdefault(uri, MemoryStore(uri))


def register(folder: Path) -> None:
    """Install, in a folder on the module search path, a package whose entry point makes memory://NAME a store."""
    installed = folder / "memory_store-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-store\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[everlearn.stores]\nmemory = {__name__}:open_memory\n")


class MemoryStore:
    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str) -> bytes:
        found = self.read_versioned(key)
        if found is None:
            raise MissingKey(f"{self.uri}/{key}: nothing is stored there")
        return found[0]

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._kept[checked_key(key)] = (bytes(data), time.time())

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self.compare_and_swap(key, data, None)

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        found = self._kept.get(checked_key(key))
        return None if found is None else (found[0], hashlib.sha256(found[0]).hexdigest())

    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        with self._lock:
            found = self.read_versioned(key)
            if (found and found[1]) != version:
                return False
            self._kept[key] = (bytes(data), time.time())
            return True

    def exists(self, key: str) -> bool:
        return checked_key(key) in self._kept

    def size(self, key: str) -> int:
        return len(self.get(key))

    def list(self, prefix: str = "") -> Iterator[str]:
        checked_prefix(prefix)
        yield from sorted((key for key in tuple(self._kept) if key.startswith(prefix)), key=str.encode)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        for key in self.list(prefix):
            data, modified = self._kept[key]
            yield Entry(key, len(data), modified)

    def folders(self, prefix: str = "") -> Iterator[str]:
        below = (key[len(prefix) :] for key in self.list(prefix))
        yield from sorted({rest.partition("/")[0] for rest in below if "/" in rest})

    def foreign(self, prefix: str = "") -> Iterator[str]:
        return iter(())

    def delete(self, key: str) -> None:
        self._kept.pop(checked_key(key), None)

    def delete_folder(self, folder: str) -> None:
        for key in list(self.list(f"{checked_key(folder)}/")):
            self.delete(key)

    def purge(self, prefix: str) -> None:
        """Nothing is kept of what was deleted."""

    def check(self) -> None:
        probe(self)
