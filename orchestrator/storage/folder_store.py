"""A store in a folder: local, or shared by machines over a network file system that holds locks."""

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import MissingKey, StorageError
from orchestrator.storage.conditional_write_probe import probe
from orchestrator.storage.folder_errors import explained
from orchestrator.storage.folder_listing import foreign, ours
from orchestrator.storage.internal_folder import INTERNAL, Temporary, flush_folder, opened, sweep, written
from orchestrator.storage.object_keys import checked_key, checked_prefix, readable
from orchestrator.storage.store import Entry

# A temporary file this old whose writer holds no lock on it any more was left by a crash.
ABANDONED_AFTER_S = 3600.0
LOCK_TIMEOUT_S = 60.0
# Between creating a temporary file and locking it a writer needs far less.
SETTLED_AFTER_S = 3.0


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
            raise explained("read", path, error) from None

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with written(self.root, path, data) as temporary, self._locked():
            self._rename(temporary, path)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        if path.exists():
            return False
        with written(self.root, path, data) as temporary:
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
        with written(self.root, path, data) as temporary, self._locked():
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
            raise explained("read", path, error) from None

    def size(self, key: str) -> int:
        path = self._path(key)
        try:
            return path.stat().st_size
        except OSError as error:
            raise explained("read", path, error) from None

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
                raise explained("read", path, error) from None
            yield Entry(key, found.st_size, found.st_mtime)

    def folders(self, prefix: str = "") -> Iterator[str]:
        folder = checked_prefix(prefix).rstrip("/")
        path = self._path(folder) if folder else self.root
        for name, is_folder in ours(self.root, path):
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
                flush_folder(path.parent)
            except OSError as error:
                raise explained("delete", path, error) from None

    def delete_folder(self, folder: str) -> None:
        path = self._path(folder)
        try:
            shutil.rmtree(path)
            flush_folder(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise explained("delete", path, error) from None

    def purge(self, prefix: str) -> None:
        # A temporary file does not say under which key its content was to appear.
        seen = sweep(self.root, SETTLED_AFTER_S)
        until = time.monotonic() + SETTLED_AFTER_S
        while sweep(self.root, SETTLED_AFTER_S) & seen and time.monotonic() < until:
            time.sleep(SETTLED_AFTER_S / 10)
        # Whatever the clock says, that of the file system or ours: these have been seen for long enough.
        sweep(self.root, SETTLED_AFTER_S, settled=seen)

    def foreign(self, prefix: str = "") -> Iterator[str]:
        folder = checked_prefix(prefix).rstrip("/")
        for path in foreign(self.root, self._path(folder) if folder else self.root):
            yield readable(str(path.relative_to(self.root)))

    def check(self) -> None:
        with self._locked():
            sweep(self.root, ABANDONED_AFTER_S)
        probe(self)

    def _path(self, key: str) -> Path:
        path = self.root / checked_key(key)
        try:
            # A store from another person may hold links: none of them may lead a read or a write out of the store.
            inside = not self._linked(path) or path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError) as error:
            raise StorageError(f"{path}: cannot be read: {error}") from None
        if not inside:
            raise StorageError(f"{path}: a symbolic link leads out of the storage. Remove it")
        return path

    def _linked(self, path: Path) -> bool:
        """Whether a link lies on the way from the root, which is resolved, to a path below it."""
        way, root = str(path), str(self.root)
        while len(way) > len(root):
            if os.path.islink(way):  # noqa: PTH114 - says no where it may not look
                return True
            way = way.rpartition("/")[0]
        return False

    def _walk(self, folder: Path, key: str, start: str) -> Iterator[str]:
        for name, is_folder in ours(self.root, folder):
            below = f"{key}/{name}" if key else name
            if not name.startswith(start):
                continue
            if is_folder:
                yield from self._walk(folder / name, below, "")
            else:
                yield below

    def _rename(self, temporary: Temporary, path: Path) -> None:
        try:
            os.replace(temporary.name, path, src_dir_fd=temporary.folder)
            flush_folder(path.parent)
        except OSError as error:
            raise explained("write", path, error) from None

    def _link(self, temporary: Temporary, path: Path) -> bool:
        try:
            os.link(temporary.name, path, src_dir_fd=temporary.folder)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise explained("write", path, error) from None
            # A file system without hard links, such as exFAT.
            with self._locked():
                if path.exists():
                    return False
                self._rename(temporary, path)
            return True
        try:
            flush_folder(path.parent)
        except OSError as error:
            raise explained("write", path, error) from None
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.root / INTERNAL / "lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with opened(self.root) as folder:
                descriptor = os.open(lock.name, flags, 0o666, dir_fd=folder)
        except OSError as error:
            raise explained("write", lock, error) from None
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
