"""The store's contract, and opening one by its URI."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from orchestrator.errors import StorageError


class Entry(NamedTuple):
    """An object as a listing shows it.

    Attributes:
        key: its name.
        bytes: its size.
        modified: when it was written, in seconds since 1970 by the clock of whatever holds the store.
    """

    key: str
    bytes: int
    modified: float


class Store(Protocol):
    """Bytes by key, with conditional writes. Safe to use from several threads, processes and machines at once.

    A write is visible as a whole or not at all, and durable when the call returns. Keys are relative POSIX paths; one
    that could leave the store is refused. Every failure is a StorageError that names the object and what to do.
    """

    @property
    def uri(self) -> str:
        """Where the store is: an absolute folder path, or s3://bucket/prefix."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises MissingKey when there are none."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write `data`, replacing what is there."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write `data` if nothing is there; of any number of concurrent callers exactly one gets True."""
        ...

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        """The bytes and an opaque version for `compare_and_swap`; None when there are none."""
        ...

    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        """Write `data` if `version` is still what is stored (None: if nothing is). False: the race is lost."""
        ...

    def exists(self, key: str) -> bool:
        """Whether something is stored under `key`."""
        ...

    def size(self, key: str) -> int:
        """Bytes under `key`. Raises MissingKey when there are none."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the string `prefix`, in the order of their UTF-8 bytes."""
        ...

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """As `list`, with what is known of each object."""
        ...

    def folders(self, prefix: str = "") -> Iterator[str]:
        """The names directly below `prefix` (empty, or ending in a slash) that have keys below them, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove what is under `key`; no error when there is nothing."""
        ...

    def delete_folder(self, folder: str) -> None:
        """Remove all keys below `folder`, which is written like a key. No error when there are none."""
        ...

    def purge(self, prefix: str) -> None:
        """Remove for good what the store still keeps of objects that begin with `prefix` and were deleted, replaced or
        never finished: older versions, parts of uploads, temporary files of writers that have died.

        Only while nobody writes there.
        """
        ...

    def check(self) -> None:
        """Raise StorageError unless the store can be written, read, listed, and holds conditional writes. Quick."""
        ...


def open_store(uri: str) -> Store:
    """The store at `uri`: a folder (path or file:// URI), or s3://bucket/prefix. Touches neither disk nor network.

    Raises StorageError when `uri` is not one of these. `Store.check` tells whether it can be used.
    """
    if not uri.strip():
        raise StorageError("storage: no place is named. Use a folder or s3://bucket/prefix")
    scheme, separator, _ = uri.partition("://")
    if not separator:
        from orchestrator.storage.folder_store import FolderStore

        return FolderStore(Path(uri))
    parts = urlsplit(uri)
    if scheme == "file" and parts.netloc in ("", "localhost") and not parts.query and not parts.fragment:
        from orchestrator.storage.folder_store import FolderStore

        return FolderStore(Path(unquote(parts.path)))
    if scheme != "s3":
        raise StorageError(f"storage: {uri}: only folders and s3://bucket/prefix are supported")
    if "@" in parts.netloc:
        raise StorageError(
            f"storage: {uri}: credentials do not belong in the URI.\n"
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and write s3://bucket/prefix"
        )
    if parts.query or parts.fragment:
        raise StorageError(
            f"storage: {uri}: write s3://bucket/prefix; AWS_ENDPOINT_URL and AWS_REGION say where the bucket is"
        )
    from orchestrator.storage.s3_store import S3Store

    return S3Store(parts.netloc, parts.path.strip("/"))
