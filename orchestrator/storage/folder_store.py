"""A store in a folder: local, or shared by machines over a network file system that holds locks."""

import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.errors import MissingKey, StorageError
from orchestrator.storage.conditional_write_probe import probe
from orchestrator.storage.object_keys import RESERVED, checked_key, checked_prefix
from orchestrator.storage.store import Entry

# Temporary files and the lock: on the same file system as the keys, and out of every listing.
INTERNAL = f"{RESERVED}internal"

# A temporary file this old whose writer holds no lock on it any more was left by a crash.
ABANDONED_AFTER_S = 3600.0
LOCK_TIMEOUT_S = 60.0
# Between creating a temporary file and locking it a writer needs far less.
SETTLED_AFTER_S = 3.0

_REMEDIES = {
    errno.ENOSPC: "the disk is full. Free some space, or set `storage` to another place",
    errno.EDQUOT: "the disk quota is used up. Free some space, or set `storage` to another place",
    errno.EACCES: "permission denied. Allow this user to read and write there, or set `storage` to another place",
    errno.EPERM: "permission denied. Allow this user to read and write there, or set `storage` to another place",
    errno.EROFS: "the file system is read-only. Set `storage` to a place that can be written",
    errno.ENOTDIR: "a file is where a folder should be. Move it away, or set `storage` to another place",
    errno.EEXIST: "a file is where a folder should be. Move it away, or set `storage` to another place",
    errno.EISDIR: "a folder is where a file should be. Move it away, or set `storage` to another place",
    errno.ENAMETOOLONG: "the path is too long. Set `storage` to a shorter one",
    errno.EMFILE: "too many open files. Raise the limit (ulimit -n)",
    errno.EIO: "the disk reports an input/output error. Check the disk; `storage` may have to move to another one",
    errno.ESTALE: "the network file system lost the file. Check the mount",
    errno.EXDEV: "another file system is mounted inside the storage. A storage folder has to be on one file system",
    errno.EFBIG: "the file is too large for the file system or the process's limit (ulimit -f)",
}


class FolderStore:
    """Keys are files below `root`; see `orchestrator.storage.store.Store` for what each method promises.

    A write goes to a temporary file, is flushed to the disk, and appears under its key by one atomic step: a hard link
    where the key must be absent, a rename where it is replaced. Replacing and deleting happen under one lock file, held
    for moments, which also gives compare-and-swap. A version is the SHA-256 of the content.
    """

    def __init__(self, root: Path) -> None:
        try:
            self.root = root.expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise StorageError(f"storage: {str(root)!r} is not a usable folder: {error}") from None

    @property
    def uri(self) -> str:
        return str(self.root)

    def __repr__(self) -> str:
        return f"FolderStore({self.uri!r})"

    def get(self, key: str) -> bytes:
        path = self._path(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise self._explained("read", path, error) from None

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with self._written(path, data) as temporary, self._locked():
            self._rename(temporary, path)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        if path.exists():
            return False
        with self._written(path, data) as temporary:
            return self._link(temporary, path)

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        try:
            data = self.get(key)
        except MissingKey:
            return None
        return data, hashlib.sha256(data).hexdigest()

    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        if version is None:
            return self.put_if_absent(key, data)
        path = self._path(key)
        with self._written(path, data) as temporary, self._locked():
            current = self.read_versioned(key)
            if current is None or current[1] != version:
                return False
            self._rename(temporary, path)
            return True

    def exists(self, key: str) -> bool:
        path = self._path(key)
        try:
            return path.is_file()
        except OSError as error:
            raise self._explained("read", path, error) from None

    def size(self, key: str) -> int:
        path = self._path(key)
        try:
            return path.stat().st_size
        except OSError as error:
            raise self._explained("read", path, error) from None

    def list(self, prefix: str = "") -> Iterator[str]:
        folder, _, start = checked_prefix(prefix).rpartition("/")
        yield from self._walk(self._path(folder) if folder else self.root, folder, start)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        for key in self.list(prefix):
            path = self._path(key)
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._explained("read", path, error) from None
            yield Entry(key, found.st_size, found.st_mtime)

    def folders(self, prefix: str = "") -> Iterator[str]:
        folder = checked_prefix(prefix).rstrip("/")
        path = self._path(folder) if folder else self.root
        for name, is_folder in self._entries(path):
            # An empty folder is what deleting its last key left; S3 has no such thing.
            if is_folder and next(self._walk(path / name, name, ""), None) is not None:
                yield name

    def delete(self, key: str) -> None:
        path = self._path(key)
        if not path.is_file():
            return
        with self._locked():
            try:
                path.unlink(missing_ok=True)
                _flush_folder(path.parent)
            except OSError as error:
                raise self._explained("delete", path, error) from None

    def delete_folder(self, folder: str) -> None:
        path = self._path(folder)
        try:
            shutil.rmtree(path)
            _flush_folder(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._explained("delete", path, error) from None

    def purge(self, prefix: str) -> None:
        # A temporary file does not say under which key its content was to appear.
        while self._sweep(SETTLED_AFTER_S):
            time.sleep(SETTLED_AFTER_S / 10)

    def check(self) -> None:
        with self._locked():
            self._sweep(ABANDONED_AFTER_S)
        probe(self)

    def _path(self, key: str) -> Path:
        path = self.root / checked_key(key)
        try:
            # A store made by somebody else may hold links: none of them may lead a read or a write outside.
            inside = path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError) as error:
            raise StorageError(f"{path}: cannot be read: {error}") from None
        if not inside:
            raise StorageError(f"{path}: a symbolic link leads out of the storage. Remove it")
        return path

    def _entries(self, folder: Path) -> Sequence[tuple[str, bool]]:
        try:
            with os.scandir(folder) as found:
                entries = [
                    (entry.name, entry.is_dir(follow_symlinks=False))
                    for entry in found
                    if not entry.name.startswith(RESERVED)
                ]
        except FileNotFoundError:
            return []
        except OSError as error:
            if isinstance(error, NotADirectoryError) and folder != self.root:
                return []
            raise self._explained("list", folder, error) from None
        # As if every folder ended in a slash: the byte order of whole keys, as S3 lists them.
        return sorted(entries, key=lambda entry: os.fsencode(f"{entry[0]}/" if entry[1] else entry[0]))

    def _walk(self, folder: Path, key: str, start: str) -> Iterator[str]:
        for name, is_folder in self._entries(folder):
            below = f"{key}/{name}" if key else name
            if not name.startswith(start):
                continue
            if is_folder:
                yield from self._walk(folder / name, below, "")
            else:
                yield below

    @contextmanager
    def _written(self, path: Path, data: bytes) -> Iterator[Path]:
        """A temporary file that holds `data`, safe on the disk; removed in the end if it was not moved away."""
        temporary = self.root / INTERNAL / f"{uuid.uuid4().hex}.tmp"
        try:
            self._make_folder(temporary.parent)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._explained("write", path, error) from None
        try:
            try:
                with suppress(OSError):
                    # Tells `_sweep` that the writer lives. Without it the file's age still protects it.
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with open(descriptor, "wb", closefd=False) as file:
                    file.write(data)
                os.fsync(descriptor)
                self._make_folder(path.parent)
            except OSError as error:
                raise self._explained("write", path, error) from None
            yield temporary
        finally:
            os.close(descriptor)
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self.root:
            self._make_folder(folder.parent)
            with suppress(FileExistsError):
                folder.mkdir()
        else:
            folder.mkdir(parents=True, exist_ok=True)
        _flush_folder(folder.parent)

    def _rename(self, temporary: Path, path: Path) -> None:
        try:
            temporary.replace(path)
            _flush_folder(path.parent)
        except OSError as error:
            raise self._explained("write", path, error) from None

    def _link(self, temporary: Path, path: Path) -> bool:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise self._explained("write", path, error) from None
            # A file system without hard links, such as exFAT.
            with self._locked():
                if path.exists():
                    return False
                self._rename(temporary, path)
            return True
        try:
            _flush_folder(path.parent)
        except OSError as error:
            raise self._explained("write", path, error) from None
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.root / INTERNAL / "lock"
        try:
            self._make_folder(lock.parent)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise self._explained("write", lock, error) from None
        try:
            self._wait_for(descriptor, lock)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int, lock: Path) -> None:
        give_up = time.monotonic() + LOCK_TIMEOUT_S
        pause = 0.001
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise StorageError(
                        f"{lock}: another process has held the storage's lock for {LOCK_TIMEOUT_S:.0f} s.\n"
                        "Stop the process that hangs (fuser names it), and run again"
                    ) from None
            except OSError as error:
                raise StorageError(
                    f"{lock}: this file system does not hold locks ({error.strerror}).\n"
                    "Use a local folder or S3 as `storage`"
                ) from None
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _sweep(self, age: float) -> int:
        """Remove temporary files of crashed writers that are `age` seconds old; how many younger ones there are."""
        young = 0
        for path in (self.root / INTERNAL).glob("*.tmp"):
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if time.time() - path.stat().st_mtime < age:
                        young += 1
                    else:
                        path.unlink()
                finally:
                    os.close(descriptor)
        return young

    def _explained(self, action: str, path: Path, error: OSError) -> StorageError:
        if isinstance(error, FileNotFoundError) and action == "read":
            return MissingKey(f"{path}: not in the storage")
        remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
        return StorageError(f"{path}: cannot {action}: {remedy}")


def _flush_folder(folder: Path) -> None:
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
