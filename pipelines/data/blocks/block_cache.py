"""Keeps what was read of files in S3 on this machine's disk, for later epochs and runs and the other workers here."""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location
from pipelines.data.disk_cache import disk_cache_folder, disk_cache_limit

LIMIT = "EVERLEARN_BLOCK_CACHE_GB"
"""Environment variable: gigabytes that the cache may take; 0 turns it off."""
CHUNK_BYTES = 2**22
"""Of a file that are kept together."""

_CHUNKS_AT_ONCE = 4
_DIGEST = hashlib.sha256().digest_size
_ABANDONED_SECONDS = 86_400
_FREE_SHARE = 0.05
_off: set[int] = set()
"""Processes that could not write to it."""


class BlockCacheWarning(UserWarning):
    """The cache cannot be used; what is read is the same."""


@contextmanager
def opened(location: Location) -> Iterator[BinaryIO]:
    """As `Location.open`; a file in S3 is read through the cache.

    Raises:
        DataError: it cannot be read.
        PipelineError: the environment's limit is no number.
    """
    limit = cache_limit()
    with location.open() as raw:
        tag = _tag(raw) if location.remote and limit else None
        if tag is None:
            yield raw
        else:
            yield cast(BinaryIO, _CachedFile(location, raw, tag, BlockCache(cache_folder(), limit)))


def cache_folder() -> Path:
    """Where the cache is."""
    return disk_cache_folder("blocks")


def cache_limit() -> float:
    """Bytes that it may take; 0: it is off. Raises PipelineError: the environment's limit is no number."""
    return disk_cache_limit(LIMIT)


def cache_text() -> str:
    """What a person should know of it. Raises PipelineError as `cache_limit`."""
    limit = cache_limit()
    if not limit:
        return f"what is read of S3 is not kept on disk ({LIMIT}=0)"
    return f"what is read of S3 is kept in {cache_folder()} of each node, up to {limit / 1e9:g} GB ({LIMIT})"


def _tag(raw: Any) -> str | None:
    """What changes when a file in S3 is written again; None where the server does not say it."""
    found = raw.metadata().get("ETag")
    return None if found is None else f"{found.decode(errors='replace')} {raw.size()}"


class BlockCache:
    """Chunks of bytes in files that several processes share.

    A file is called by the SHA-256 of what its chunk is a part of, and ends with the SHA-256 of the chunk: what a crash
    or a disk has damaged is read anew. It gets its name when it is complete. What was used longest ago makes room.
    """

    _written = math.inf  # by this process since it last looked at the whole cache; infinite: it never did

    def __init__(self, folder: Path, limit: float) -> None:
        """
        Args:
            limit: bytes; several processes together may take a few percent more.
        """
        self._folder, self._limit = folder, limit

    def get(self, key: str) -> bytes | None:
        """The chunk; None: it is not here, or it is damaged."""
        file = self._file(key)
        try:
            whole = file.read_bytes()
            if hashlib.sha256(memoryview(whole)[:-_DIGEST]).digest() == whole[-_DIGEST:]:
                os.utime(file)
                return whole[:-_DIGEST]
            file.unlink()
        except OSError:  # another process has just removed it, or the disk does not give it
            pass
        return None

    def put(self, key: str, chunk: bytes) -> None:
        """Keep a chunk. A cache that cannot be written is not used any more, with one warning for a process."""
        if os.getpid() in _off or len(chunk) > self._limit:
            return
        file = self._file(key)
        partial = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            if BlockCache._written > self._limit / 64:
                self._make_room()
            file.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as out:
                out.write(chunk)
                out.write(hashlib.sha256(chunk).digest())
            partial.replace(file)
            BlockCache._written += len(chunk)
        except OSError as error:
            _off.add(os.getpid())
            reason = error.strerror or str(error)
            text = f"{self._folder}: cannot be written ({reason}): files in S3 are read without the cache"
            warnings.warn(f"{text}. Make room, or set {LIMIT}=0", BlockCacheWarning, stacklevel=2)
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
        # The disk's last bytes are not the cache's.
        room = min(self._limit * 15 / 16, taken + disk.free - _FREE_SHARE * disk.total)
        for _, size, path in sorted(kept):
            if taken <= room:
                break
            path.unlink(missing_ok=True)
            taken -= size
        if room < 0:
            raise OSError("the disk is nearly full")
        BlockCache._written = 0


class _CachedFile(io.RawIOBase):
    """A file that is read in chunks, each from the cache if it is there; neighbours that are not, by one request."""

    def __init__(self, location: Location, raw: Any, tag: str, cache: BlockCache) -> None:
        super().__init__()
        self._location, self._raw, self._tag, self._cache = location, raw, tag, cache
        self._key = f"{location.path}\n{tag}"
        self._size, self._at = int(raw.size()), 0
        self._last: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        numbers = range(self._at // CHUNK_BYTES, -(-end // CHUNK_BYTES))
        first = numbers[0] * CHUNK_BYTES
        parts = [memoryview(chunk) for chunk in self._chunks(numbers)]
        parts[-1] = parts[-1][: end - numbers[-1] * CHUNK_BYTES]
        parts[0] = parts[0][self._at - first :]
        made = b"".join(parts)
        self._at += len(made)
        return made

    def readinto(self, buffer: Any) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _check(self) -> None:
        """What was read is of the file that was opened."""
        with self._location.open() as again:
            if _tag(again) != self._tag:
                raise DataError(
                    f"{self._location.path}: the file was written again while it was read. Put it back, or start the "
                    "run again: what changed is then another experience"
                )

    def _chunks(self, numbers: range) -> list[bytes]:
        found = {n: self._last[1] if n == self._last[0] else self._cache.get(f"{self._key}\n{n}") for n in numbers}
        missing = [n for n in numbers if found[n] is None]
        while missing:
            run = [n for at, n in enumerate(missing[:_CHUNKS_AT_ONCE]) if n == missing[0] + at]
            start = run[0] * CHUNK_BYTES
            data = self._raw.read_at(min(len(run) * CHUNK_BYTES, self._size - start), start)
            self._check()
            for at, n in enumerate(run):
                chunk = found[n] = data[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES]
                if len(chunk) == min(CHUNK_BYTES, self._size - n * CHUNK_BYTES):
                    self._cache.put(f"{self._key}\n{n}", chunk)
            missing = missing[len(run) :]
        last = numbers[-1]
        self._last = (last, found[last] or b"")
        return [found[n] or b"" for n in numbers]
