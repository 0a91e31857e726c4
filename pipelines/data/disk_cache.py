"""Caches of data on this machine's disk: where they lie, how much each may take, and chunks that processes share."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import time
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from pipelines.config.pipeline_errors import PipelineError

DEFAULT_GB = 10.0

_DIGEST = hashlib.sha256().digest_size
_ABANDONED_SECONDS = 86_400
_FREE_SHARE = 0.05
_off: set[tuple[int, Path]] = set()
"""Processes that could not write to a folder."""


class DiskCacheWarning(UserWarning):
    """A cache cannot be used; what is read is the same."""


def disk_cache_folder(name: str) -> Path:
    """The folder of a cache: below `XDG_CACHE_HOME`, else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "everlearn" / name


def disk_cache_limit(variable: str) -> float:
    """Bytes that the cache may take whose gigabytes an environment variable says; 0: it is off.

    Raises:
        PipelineError: the variable is no number.
    """
    said = os.environ.get(variable) or str(DEFAULT_GB)
    try:
        limit = float(said)
    except ValueError:
        limit = math.nan
    if math.isnan(limit):
        raise PipelineError(f"{variable}: must be a number of gigabytes, got {said!r}")
    return max(limit, 0.0) * 1e9


class DiskCache:
    """Chunks of bytes in files that several processes share.

    A file is called by the SHA-256 of what its chunk is a part of, and ends with the SHA-256 of the chunk: what a crash
    or a disk has damaged is read again. It gets its name when it is complete. The least recently used chunks are
    removed first.
    """

    _written: ClassVar[dict[Path, float]] = {}
    """Bytes by folder, by this process since it last looked at the whole cache; a missing folder: it never looked."""

    def __init__(self, folder: Path, limit: float, variable: str, without: str) -> None:
        """
        Args:
            limit: bytes; several processes together may take a few percent more.
            variable: the environment variable that sets the limit, for messages.
            without: the consequence of working without the cache, for messages.
        """
        self._folder, self._limit, self._variable, self._without = folder, limit, variable, without

    def get(self, key: str) -> bytes | None:
        """The chunk; None: it is not here, or it is damaged."""
        file = self._file(key)
        try:
            whole = file.read_bytes()
            if hashlib.sha256(memoryview(whole)[:-_DIGEST]).digest() == whole[-_DIGEST:]:
                os.utime(file)
                return whole[:-_DIGEST]
            file.unlink()
        except OSError:  # another process has just removed it, or the disk cannot read it
            pass
        return None

    def put(self, key: str, chunk: bytes) -> None:
        """Keep a chunk. A cache that cannot be written is not used any more, with one warning for a process."""
        if (os.getpid(), self._folder) in _off or len(chunk) > self._limit:
            return
        file = self._file(key)
        partial = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            if self._written.get(self._folder, math.inf) > self._limit / 64:
                self._make_room()
            file.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as out:
                out.write(chunk)
                out.write(hashlib.sha256(chunk).digest())
            partial.replace(file)
            self._written[self._folder] = self._written.get(self._folder, 0) + len(chunk)
        except OSError as error:
            _off.add((os.getpid(), self._folder))
            reason = error.strerror or str(error)
            text = f"{self._folder}: cannot be written ({reason}): {self._without}"
            warnings.warn(f"{text}. Make room, or set {self._variable}=0", DiskCacheWarning, stacklevel=2)
        finally:
            with suppress(OSError):
                partial.unlink()

    def _file(self, key: str) -> Path:
        name = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
        return self._folder / name[:2] / name

    def _make_room(self) -> None:
        """Remove what was used longest ago, beyond the limit, and what writers that are gone have left."""
        kept: list[tuple[float, int, Path]] = []
        now = time.time()
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                state = path.stat()
                if path.suffix != ".partial":
                    kept.append((state.st_mtime, state.st_size, path))
                elif now - state.st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
        disk = shutil.disk_usage(self._folder)
        taken = sum(size for _, size, _ in kept)
        # The cache leaves some of the disk free.
        room = min(self._limit * 15 / 16, taken + disk.free - _FREE_SHARE * disk.total)
        for _, size, path in sorted(kept):
            if taken <= room:
                break
            path.unlink(missing_ok=True)
            taken -= size
        if room < 0:
            raise OSError("the disk is nearly full")
        self._written[self._folder] = 0
