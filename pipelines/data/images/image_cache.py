"""Keeps decoded images on this machine, so that a second run need not decode them again."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.disk_cache import disk_cache_folder, disk_cache_limit
from pipelines.data.images.decode_images import decode_images
from pipelines.data.images.image_options import ImageOptions
from pipelines.data.images.image_sources import ImageSource

LIMIT = "EVERLEARN_IMAGE_CACHE_GB"
"""Environment variable: gigabytes that the cache may take; 0 turns it off."""

_FORMAT = 1
_DIGEST = hashlib.sha256().digest_size
_ABANDONED_SECONDS = 86_400


def cached_images(sources: Sequence[ImageSource], options: ImageOptions) -> NDArray[np.uint8]:
    """Images as `decode_images` gives them, from the cache if it has them; then they must not be written to.

    A file of the cache is called by a hash of all that decides its content, and ends with the SHA-256 of it: what a
    crash or a disk has damaged is made again. It gets its name when it is complete, so that processes do not disturb
    each other. Files that were used longest ago make room for new ones.

    Raises:
        DataError: as `decode_images`.
        PipelineError: the environment's limit is no number.
    """
    limit = disk_cache_limit(LIMIT)
    if not limit or not sources:
        return decode_images(sources, options)
    file = cache_folder() / f"{_key(sources, options)}.npy"
    kept = _read(file)
    if kept is not None and len(kept) == len(sources):
        return kept
    made = decode_images(sources, options)
    if made.nbytes <= limit:
        _write(file, made, limit)
    return made


def cache_folder() -> Path:
    """Where decoded images are kept."""
    return disk_cache_folder("images")


def _key(sources: Sequence[ImageSource], options: ImageOptions) -> str:
    from PIL import __version__ as pillow

    digest = hashlib.sha256(repr((_FORMAT, pillow, astuple(options))).encode())
    for source in sources:
        digest.update(f"{source.version}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _read(file: Path) -> NDArray[np.uint8] | None:
    """The images in a file of the cache; None: there is none, or it is damaged."""
    try:
        whole = np.memmap(file, dtype=np.uint8, mode="r")
        if hashlib.sha256(whole[:-_DIGEST].data).digest() != whole[-_DIGEST:].tobytes():
            raise ValueError("damaged")
        found = np.lib.format.open_memmap(file, mode="r")
        os.utime(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        with suppress(OSError):
            file.unlink()
        return None
    return found if found.dtype == np.uint8 and found.ndim == 4 else None


def _write(file: Path, images: NDArray[np.uint8], limit: float) -> None:
    """Put images into the cache; a cache that cannot be written is not used."""
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as out:
            writer = _Hashing(out)
            np.lib.format.write_array(writer, images)
            out.write(writer.digest.digest())
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
        _make_room(file, limit)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            partial.unlink()


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: object) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return int(self._file.write(data))  # type: ignore[attr-defined]


def _make_room(newest: Path, limit: float) -> None:
    """Remove the files that were used longest ago, beyond the limit, and those of writers that are gone."""
    kept: list[tuple[float, int, Path]] = []
    now = time.time()
    for path in newest.parent.iterdir():
        with suppress(OSError):
            state = path.stat()
            if path.suffix == ".partial" and now - state.st_mtime > _ABANDONED_SECONDS:
                path.unlink()
            elif path.suffix == ".npy" and path != newest:
                kept.append((state.st_mtime, state.st_size, path))
    room = limit - newest.stat().st_size
    for _, size, path in sorted(kept, reverse=True):
        room -= size
        if room < 0:
            path.unlink(missing_ok=True)
