"""Keeps what was read of files in S3 on this machine's disk, for later epochs and runs and the other workers here."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location
from pipelines.data.disk_cache import DiskCache, disk_cache_folder, disk_cache_limit

LIMIT = "EVERLEARN_BLOCK_CACHE_GB"
"""Environment variable: gigabytes that the cache may take; 0 turns it off."""
CHUNK_BYTES = 2**22
"""Of a file that are kept together."""

_CHUNKS_AT_ONCE = 4


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
            cache = DiskCache(cache_folder(), limit, LIMIT, "files in S3 are read without the cache")
            yield cast(BinaryIO, _CachedFile(location, raw, tag, cache))


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


class _CachedFile(io.RawIOBase):
    """A file that is read in chunks, each from the cache if it is there; neighbours that are not, by one request."""

    def __init__(self, location: Location, raw: Any, tag: str, cache: DiskCache) -> None:
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
