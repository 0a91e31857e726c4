"""Removing samples for good: from every memory of every commit, from every checkpoint, and from future memories.

1. The ids become tombstones of the pipeline: from here on no run takes the samples into a memory again, even if the
   rest of the work is interrupted.
2. Every stored shard that holds one of them is written anew without it, under its new SHA-256.
3. Every commit that names such a shard is replaced by one of the same id (which does not depend on what was learned)
   that names the new shard and records the removal. Where the stored shard holds more samples than the memory kept,
   the samples with the next keys take the free places.
4. Every test set of the admission log that holds one of them is written anew without it.
5. The old shards, the checkpoints with such samples, and everything else that the storage keeps of deleted objects are
   removed.

If `forget` is interrupted, running it again does the rest: it searches all shards, also those that no commit names.
`PARALLEL` shards are in memory at a time.

Models that were trained with the samples are not changed. To remove the samples from the models as well, remove them
from the data: the fingerprints of their experiences change, and the next run trains from the first of these on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CorruptBlob, CorruptCommit, Locked, MissingKey, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.canonical_json import canonical_json
from orchestrator.lineage.claim import OnWarning, claimed
from orchestrator.lineage.commit import Commit, ForgottenRecord, MemoryRecord, ShardRecord, utc_now
from orchestrator.lineage.fencing import is_note, replace
from orchestrator.lineage.forgotten_ids import Tombstones, add_tombstones
from orchestrator.maintenance.check_shards import groups
from orchestrator.maintenance.rewrite_commit import rewrite
from orchestrator.maintenance.store_contents import Contents, read_contents
from orchestrator.storage.parallel_requests import in_parallel
from orchestrator.storage.tensors import decode, encode
from orchestrator.updates.forget_tests import forget_test_samples

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.lineage import Lineage

PARALLEL = 2


@dataclass
class Forgotten:
    """What `forget` did.

    Attributes:
        pipeline: its name.
        ids: how many ids were given.
        samples: how many samples were found in stored memories, each counted once.
        test_samples: how many were found in the test sets of an admission log.
        commits: ids of the commits that were rewritten.
        blobs: SHA-256 of the blobs that were removed.
        checkpoints: keys of the checkpoints that were removed.
        unreadable: keys of damaged objects, which may still hold samples.
    """

    pipeline: str
    ids: int = 0
    samples: int = 0
    test_samples: int = 0
    commits: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "ids": self.ids,
            "samples": self.samples,
            "test_samples": self.test_samples,
            "commits": self.commits,
            "blobs": self.blobs,
            "checkpoints": self.checkpoints,
            "unreadable": self.unreadable,
        }


@dataclass(frozen=True)
class _Shard:
    """A shard that holds samples to be forgotten, and the shard that replaces it (None: no sample is left)."""

    found: tuple[int, ...]
    sha256: str | None
    bytes: int
    held: Mapping[str, int]


def forget(lineage: Lineage, ids: Iterable[int], *, on_warning: OnWarning | None = None) -> Forgotten:
    """Remove samples by id; with no ids, finish what an earlier call has begun.

    Args:
        ids: as in the stream (`Samples.ids`).
        on_warning: called with warnings.

    Raises:
        Claimed: a run, a search or another care command is working on the pipeline.
        StorageError: the storage cannot be used; running again does the rest.
    """
    wanted = set(ids)
    result = Forgotten(lineage.pipeline, ids=len(wanted))
    with claimed(lineage, "forget", on_warning=on_warning) as claim:
        held = lineage.fenced(claim.fence)
        tombstones = add_tombstones(held, wanted)
        if tombstones:
            _Work(held, tombstones, result).run()
    return result


class _Work:
    def __init__(self, lineage: Lineage, tombstones: Tombstones, result: Forgotten) -> None:
        self._lineage, self._store = lineage, lineage.store
        self._tombstones, self._result, self._at = tombstones, result, utc_now()
        self._shards: dict[str, _Shard] = {}
        self._unreferenced: set[str] = set()
        self._tests: set[str] = set()

    def run(self) -> None:
        contents = read_contents(self._lineage)
        found_in_tests, self._tests, damaged = forget_test_samples(self._lineage, self._tombstones)
        self._result.unreadable += damaged
        self._result.test_samples = len(found_in_tests)
        shards = self._shard_blobs(contents)
        blobs = sorted(contents.blobs.keys() & shards | self._unreferenced)
        found = in_parallel(self._replaced, blobs, PARALLEL)
        self._shards = {sha256: shard for sha256, shard in zip(blobs, found, strict=True) if shard is not None}
        self._result.samples = len({id_ for shard in self._shards.values() for id_ in shard.found})
        for id_ in sorted(contents.commits):
            self._rewrite(id_, contents)
        for sha256 in self._shards:
            self._lineage.delete(layout.blob_key(self._lineage.pipeline, sha256))
        self._result.blobs = sorted(self._shards)
        self._remove_checkpoints(contents)
        self._purge()
        self._result.unreadable.sort()

    def _shard_blobs(self, contents: Contents) -> set[str]:
        """The blobs that commits name as shards; keeps those that no commit names for later."""
        shards: set[str] = set()
        states: set[str] = set()
        for id_, entry in contents.commits.items():
            try:
                commit = self._lineage.read(id_)
            except CorruptCommit:
                self._result.unreadable.append(entry.key)
                continue
            states.update(record.sha256 for record in commit.blobs.values())
            shards.update(shard.sha256 for record in commit.memories.values() for shard in record.shards)
        self._unreferenced = contents.blobs.keys() - states - shards - self._tests
        return shards

    def _replaced(self, sha256: str) -> _Shard | None:
        """Write a shard without the samples to be forgotten; None where it has none of them."""
        tensors = self._read(sha256)
        if tensors is None:
            return None
        try:
            groups(tensors)
        except ValueError:
            if sha256 not in self._unreferenced:
                self._result.unreadable.append(layout.blob_key(self._lineage.pipeline, sha256))
            return None
        found = self._tombstones.among(tensors["ids"].tolist())
        if not found:
            return None
        import torch

        keep = ~torch.isin(tensors["ids"], torch.tensor(found))
        rest = {name: tensor[keep] for name, tensor in tensors.items()}
        if sha256 in self._unreferenced or not keep.any():
            return _Shard(tuple(found), None, 0, {})
        data = encode(rest)
        return _Shard(tuple(found), self._lineage.put_blob(data), len(data), groups(rest))

    def _read(self, sha256: str) -> dict[str, Tensor] | None:
        key = layout.blob_key(self._lineage.pipeline, sha256)
        try:
            return self._lineage.tensors(sha256)
        except CorruptBlob:
            if self._store.exists(key):
                self._result.unreadable.append(key)
            return None

    def _rewrite(self, id_: str, contents: Contents) -> None:
        if contents.commits[id_].key in self._result.unreadable:
            return
        rewrite(self._lineage, id_, self._without)

    def _without(self, commit: Commit) -> Commit:
        hit: set[int] = set()
        memories: dict[str, MemoryRecord] = {}
        for name, memory in commit.memories.items():
            shards: list[ShardRecord] = []
            for shard in memory.shards:
                replaced = self._shards.get(shard.sha256)
                if replaced is None:
                    shards.append(shard)
                    continue
                hit.update(replaced.found)
                lengths = {g: min(n, replaced.held.get(g, 0)) for g, n in shard.lengths.items()}
                lengths = {group: length for group, length in lengths.items() if length}
                if replaced.sha256 is not None and lengths:
                    shards.append(
                        ShardRecord(
                            experience=shard.experience,
                            sha256=replaced.sha256,
                            bytes=replaced.bytes,
                            lengths=lengths,
                        )
                    )
            memories[name] = MemoryRecord(shards=tuple(shards))
        if not hit:
            return commit
        self._result.commits.append(commit.id)
        record = ForgottenRecord(at=self._at, samples=len(hit))
        return commit.revised(memories=memories, forgotten=[*commit.forgotten, record])

    def _purge(self) -> None:
        """Remove what the storage keeps of deleted objects. If it refuses, a note is stored, which fsck reports."""
        name = self._lineage.pipeline
        debt = layout.debt_key(name)
        self._lineage.check_fence()
        try:
            # The prefixes under which there can be samples; locks on other objects do not matter.
            for prefix in (layout.blobs_prefix(name), layout.runs_prefix(name)):
                self._store.purge(prefix)
        except StorageError as error:
            found = self._store.read_versioned(debt)
            reason = canonical_json({"since": self._at, "reason": str(error).splitlines()[0]})
            version = None if found is None or is_note(found[0]) else found[1]
            replace(self._store, self._lineage.fence, debt, reason, version)
            raise
        self._lineage.check_fence()
        with suppress(Locked):
            self._store.purge(f"{name}/")
        if self._store.exists(debt):
            self._lineage.delete(debt)

    def _remove_checkpoints(self, contents: Contents) -> None:
        """Remove the checkpoints with such samples; their run resumes after its last commit."""
        for entry in contents.checkpoints:
            try:
                tensors = decode(self._store.get(entry.key))
            except MissingKey:
                continue
            except CorruptBlob:
                # A damaged checkpoint is of no use to a run, and may hold such samples.
                tensors = None
            ids = [t for name, t in (tensors or {}).items() if name.endswith("|ids") and not t.is_floating_point()]
            if tensors is None or any(self._tombstones.among(t.flatten().tolist()) for t in ids):
                self._lineage.delete(entry.key)
                self._result.checkpoints.append(entry.key)
