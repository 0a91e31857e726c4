"""Keeps the tokens of texts on this machine's disk, so that no text is made tokens in every epoch and every run."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.disk_cache import DiskCache, disk_cache_folder, disk_cache_limit
from pipelines.data.packing import PADDING

LIMIT = "EVERLEARN_TOKEN_CACHE_GB"
"""Environment variable: gigabytes that the cache may take; 0 turns it off."""

_FORMAT = 1
Tokens = NDArray[np.int32]


def cache_folder() -> Path:
    """Where tokens are kept."""
    return disk_cache_folder("tokens")


def content_key(settings: object, content: bytes | Sequence[Any]) -> str:
    """What decides the tokens of a content, as a hash.

    Args:
        settings: the tokenizer's fingerprint, and how sequences are made; plain data.
        content: bytes, or texts and what stands beside them as plain data.
    """
    head = [_FORMAT, _tokenizers(), settings]
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    if isinstance(content, bytes):
        digest.update(content)
    else:
        for one in content:
            digest.update(json.dumps(one, default=repr).encode() + b"\n")
    return digest.hexdigest()


def cached_tokens(key: Callable[[], str], make: Callable[[], Sequence[Tokens]]) -> tuple[Tokens, ...]:
    """Arrays of tokens, (n, length) int32, padded at their ends: from the cache, if it has them, else they are made.

    A file of the cache is called by the key, ends with a hash of what it holds, and gets its name when it is complete:
    what a crash or a disk has damaged is made again, and processes do not disturb each other.

    Args:
        key: gives what decides the tokens, as `content_key` makes it.

    Raises:
        PipelineError: the environment's limit is no number.
    """
    limit = disk_cache_limit(LIMIT)
    if not limit:
        return tuple(make())
    cache, name = DiskCache(cache_folder(), limit, LIMIT, "texts are made tokens each time"), key()
    kept = cache.get(name)
    if kept is not None:
        return _unpacked(kept)
    made = tuple(make())
    cache.put(name, _packed(made))
    return made


@lru_cache(maxsize=1)
def _tokenizers() -> str:
    return version("tokenizers")


def _packed(arrays: Sequence[Tokens]) -> bytes:
    """Padding takes most of the sequences of short texts, and few tokenizers have more than 65 535 tokens."""
    parts, shapes = [], []
    for array in arrays:
        there = array != PADDING
        lengths = np.where(there.any(axis=1), array.shape[1] - np.argmax(there[:, ::-1], axis=1), 0).astype("<u4")
        tokens = array[_places(lengths, array.shape[1])] - PADDING
        narrow = not len(tokens) or int(tokens.max()) < 2**16
        shapes.append([*array.shape, len(tokens), int(narrow)])
        parts += [lengths.tobytes(), tokens.astype("<u2" if narrow else "<u4").tobytes()]
    head = json.dumps(shapes).encode()
    return len(head).to_bytes(4, "little") + head + zlib.compress(b"".join(parts), 1)


def _unpacked(data: bytes) -> tuple[Tokens, ...]:
    start = 4 + int.from_bytes(data[:4], "little")
    shapes, content, at, found = json.loads(data[4:start]), zlib.decompress(data[start:]), 0, []
    for rows, width, count, narrow in shapes:
        lengths = np.frombuffer(content, "<u4", rows, at)
        tokens = np.frombuffer(content, "<u2" if narrow else "<u4", count, at + 4 * rows)
        at += 4 * rows + (2 if narrow else 4) * count
        array = np.full((rows, width), PADDING, dtype=np.int32)
        array[_places(lengths, width)] = tokens.astype(np.int32) + PADDING
        found.append(array)
    return tuple(found)


def _places(lengths: NDArray[np.uint32], width: int) -> NDArray[np.bool_]:
    """(n, width): where the first so many places of each row are."""
    return np.arange(width) < lengths[:, None]
