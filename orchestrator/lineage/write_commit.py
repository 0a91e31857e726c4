"""Writing a commit: first its blobs, then the commit itself, which makes it visible."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import CorruptBlob, MissingKey, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.fencing import ATTEMPTS, PARALLEL, Announced, Fence, create
from orchestrator.storage.parallel_requests import in_parallel

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage


def write_commit(lineage: Lineage, commit: Commit, blobs: Mapping[str, bytes] | Iterable[bytes]) -> Commit:
    """See `Lineage.write`.

    A blob that is stored already is read and verified, unless this process has done so before. In the usual case, in
    which all blobs are new, fencing costs five small requests for a commit, and two for each shard of a memory.
    """
    # A caller that names blobs has just hashed them: hashing is most of what a commit costs.
    given = dict(blobs) if isinstance(blobs, Mapping) else {hashlib.sha256(data).hexdigest(): data for data in blobs}
    needed = commit.referenced()
    for sha256, data in given.items():
        if needed.get(sha256, len(data)) != len(data):
            raise CorruptBlob(f"blob {sha256}: commit {commit.id[:12]} records a wrong size")
    there = in_parallel(lineage.holds, given, PARALLEL)
    lacking = {sha256: data for (sha256, data), held in zip(given.items(), there, strict=True) if not held}
    if lineage.fence is not None:
        try:
            return _write_fenced(lineage, lineage.fence, commit, lacking)
        except StorageError:
            lineage.check_fence()  # a command that took the claim over may have removed the missing blob
            raise
    _put_blobs(lineage, lacking)
    _require_blobs(lineage, commit, given)
    key = layout.commit_key(lineage.pipeline, commit.id)
    return commit if create(lineage.store, None, key, commit.to_json()) else lineage.read(commit.id)


def _write_fenced(lineage: Lineage, fence: Fence, commit: Commit, lacking: Mapping[str, bytes]) -> Commit:
    key, data = layout.commit_key(lineage.pipeline, commit.id), commit.to_json()
    samples = {shard.sha256 for memory in commit.memories.values() for shard in memory.shards}
    states = {s: blob for s, blob in lacking.items() if s not in samples}
    shards = {layout.blob_key(lineage.pipeline, s): blob for s, blob in lacking.items() if s in samples}
    for _ in range(ATTEMPTS):
        announced = Announced(lineage.store, fence, {key: data, **shards}, keep=[key])
        announced.check()
        _put_blobs(lineage, states)
        filled = in_parallel(announced.fill, shards, PARALLEL)
        states, shards = {}, {k: blob for (k, blob), done in zip(shards.items(), filled, strict=True) if not done}
        if shards:
            continue
        lineage.verified.update(lacking)
        _require_blobs(lineage, commit, lacking)
        if key in announced.there:
            return lineage.read(commit.id)
        if announced.fill(key):
            return commit
    raise StorageError(f"{lineage.store.uri}/{key}: cannot write: other processes keep writing it. Run again later")


def _put_blobs(lineage: Lineage, blobs: Mapping[str, bytes]) -> None:
    def put(sha256: str) -> None:
        lineage.store.put(layout.blob_key(lineage.pipeline, sha256), blobs[sha256])
        lineage.verified.add(sha256)

    in_parallel(put, blobs, PARALLEL)


def _require_blobs(lineage: Lineage, commit: Commit, written: Container[str]) -> None:
    """Raise CorruptBlob unless every blob that the commit needs, except those in `written`, is stored and whole."""

    def require(item: tuple[str, int]) -> None:
        sha256, size = item
        key = layout.blob_key(lineage.pipeline, sha256)
        try:
            known = sha256 in lineage.verified
            stored = lineage.store.size(key) if known else len(lineage.blob(sha256, commit=commit.id))
        except MissingKey:
            raise lineage.corrupt(key, commit.id, "it is missing") from None
        if stored != size:
            raise lineage.corrupt(key, commit.id, f"it has {stored} bytes instead of {size}")

    in_parallel(require, [item for item in commit.referenced().items() if item[0] not in written], PARALLEL)
