"""The store's place as Ray wants it: a pyarrow file system and a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.storage.folder import FolderStore
from orchestrator.storage.store import open_store

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def ray_filesystem(uri: str) -> tuple[FileSystem | None, str]:
    """`storage_filesystem` and `storage_path` of Ray's RunConfig for the store at `uri`.

    Raises:
        StorageError: `uri` names no store, or its credentials cannot be found.
    """
    store = open_store(uri)
    if isinstance(store, FolderStore):
        return None, store.uri
    raise NotImplementedError
