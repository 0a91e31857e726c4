"""What a store has to do: bytes by key, with conditional writes."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


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

    def foreign(self, prefix: str = "") -> Iterator[str]:
        """What lies below `prefix` (empty, or ending in a slash) and is none of the store's: names that are no keys,
        links that lead out of it, and the like; escaped for people. No other method sees or touches it.
        """
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
