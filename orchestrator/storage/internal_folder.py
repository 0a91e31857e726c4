"""The folder in which a folder store keeps files of its own: those that are being written, and its lock.

It is opened once for each operation, and never through a link: what is opened relative to it stays in the store.
"""

import errno
import fcntl
import os
import time
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from orchestrator.errors import StorageError
from orchestrator.storage.folder_errors import explained
from orchestrator.storage.object_keys import RESERVED

# On the same file system as the keys, and out of every listing.
INTERNAL = f"{RESERVED}internal"


class Temporary(NamedTuple):
    """A file in the internal folder: its name, and a descriptor of the folder."""

    name: str
    folder: int


@contextmanager
def opened(root: Path, target: Path | None = None) -> Iterator[int]:
    """A descriptor of the internal folder of the store at `root`, which is made if need be.

    Args:
        target: what is to be written, for messages.

    Raises:
        StorageError: it cannot be opened, or is a link.
    """
    path = root / INTERNAL
    try:
        if not os.path.islink(path):  # noqa: PTH114 - says no where it may not look
            make_folder(root, path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114
            raise StorageError(
                f"{path}: a symbolic link stands where the storage keeps files of its own. Remove it"
            ) from None
        raise explained("write", target or path, error) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def written(root: Path, path: Path, data: bytes) -> Iterator[Temporary]:
    """A temporary file that holds `data`, safe on the disk; removed in the end if it was not moved away.

    Args:
        path: where it is to go; the folder for it is made.
    """
    with opened(root, path) as folder:
        name = f"{uuid.uuid4().hex}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(name, flags, 0o666, dir_fd=folder)
        except OSError as error:
            raise explained("write", path, error) from None
        try:
            try:
                with suppress(OSError):
                    # Tells `sweep` that the writer lives. Without it the file's age still protects it.
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with open(descriptor, "wb", closefd=False) as file:
                    file.write(data)
                os.fsync(descriptor)
                make_folder(root, path.parent)
            except OSError as error:
                raise explained("write", path, error) from None
            yield Temporary(name, folder)
        finally:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)


def sweep(root: Path, age: float, settled: Container[str] = ()) -> set[str]:
    """Remove temporary files of crashed writers that are `age` seconds old, or `settled`; the names of the rest."""
    young: set[str] = set()
    with opened(root) as folder, os.scandir(folder) as found:
        for name in [entry.name for entry in found if entry.name.endswith(".tmp")]:
            with suppress(OSError):
                descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if name in settled or time.time() - os.fstat(descriptor).st_mtime >= age:
                        os.unlink(name, dir_fd=folder)
                    else:
                        young.add(name)
                finally:
                    os.close(descriptor)
    return young


def make_folder(root: Path, folder: Path) -> None:
    """Make a folder of the store, and those above it up to `root`, durably. Raises OSError."""
    if folder.is_dir():
        return
    if folder != root:
        make_folder(root, folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
    else:
        folder.mkdir(parents=True, exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make a new, renamed or removed name in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; they write names through.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
