"""Opening a store by its URI: a folder, S3, or a kind that an installed package registers.

A package registers a kind of store in the entry point group `everlearn.stores`: the name is the scheme of its URIs, the
value a function that takes the URI and returns a `Store`:

    [project.entry-points."everlearn.stores"]
    gs = "my_package.gcs:open_store"
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from orchestrator.errors import StorageError
from orchestrator.storage.folder_store import FolderStore
from orchestrator.storage.s3_store import S3Store
from orchestrator.storage.store import Store

GROUP = "everlearn.stores"


def open_store(uri: str) -> Store:
    """The store at `uri`: a folder (path or file:// URI), s3://bucket/prefix, or one of a registered kind.

    Touches neither disk nor network for a folder and S3; `Store.check` says whether the store can be used.

    Raises:
        StorageError: `uri` is none of these, or what is registered for its scheme cannot be loaded.
    """
    if not uri.strip():
        raise StorageError("storage: must not be empty. Use a folder or s3://bucket/prefix")
    scheme, separator, _ = uri.partition("://")
    if not separator:
        return FolderStore(Path(uri))
    if scheme == "s3":
        return _s3(uri)
    parts = urlsplit(uri)
    if scheme == "file" and parts.netloc in ("", "localhost") and not parts.query and not parts.fragment:
        return FolderStore(Path(unquote(parts.path)))
    return _registered(scheme, uri)


def _s3(uri: str) -> Store:
    parts = urlsplit(uri)
    if "@" in parts.netloc:
        raise StorageError(
            f"storage: {uri}: credentials do not belong in the URI.\n"
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and write s3://bucket/prefix"
        )
    if "?" in uri or "#" in uri:  # an empty query or fragment would be dropped without a word
        raise StorageError(
            f"storage: {uri}: write s3://bucket/prefix; AWS_ENDPOINT_URL and AWS_REGION say where the bucket is"
        )
    return S3Store(parts.netloc, parts.path.strip("/"))


def _registered(scheme: str, uri: str) -> Store:
    entries = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if scheme not in entries:
        others = "".join(f", {name}://..." for name in sorted(entries))
        raise StorageError(f"storage: {uri}: only folders and s3://bucket/prefix{others} are supported")
    try:
        opener: Any = entries[scheme].load()
        store: Store = opener(uri)
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(
            f"storage: {uri}: the store that {entries[scheme].value} registers for {scheme}:// cannot be opened: "
            f"{type(error).__name__}: {error}"
        ) from error
    return store
