"""Stores that do not hold conditional writes are refused."""

from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.conditional_write_probe import probe
from orchestrator.storage.folder_store import FolderStore


class EverybodyCreates(FolderStore):
    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True


class NoIfMatch(FolderStore):
    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        self.put(key, data)
        return True


class AlwaysConflict(FolderStore):
    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        return False


class Forgetful(FolderStore):
    def get(self, key: str) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (EverybodyCreates, "lets several writers create the same object"),
        (NoIfMatch, "does not hold If-Match"),
        (AlwaysConflict, "refuses a valid If-Match"),
        (Forgetful, "does not return what was written"),
    ],
)
def test_refused(tmp_path: Path, kind: type[FolderStore], problem: str) -> None:
    store = kind(tmp_path / "store")
    with pytest.raises(StorageError, match=f"{store.uri}: this storage {problem}"):
        probe(store)
    assert list(store.list()) == []
