"""The commits, blobs and refs of one pipeline in a store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import CorruptBlob, CorruptCommit, MissingKey, RefConflict, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.canonical_json import canonical_json, parse_json
from orchestrator.lineage.commit import Commit
from orchestrator.storage.parallel_requests import in_parallel

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.storage.store import Store

# Requests in flight at once.
PARALLEL = 8
SHORTEST_PREFIX = 4
_ATTEMPTS = 20


class Ref(NamedTuple):
    """A movable name: the commit it stands for, and how often it was moved."""

    commit: str
    generation: int


class Lineage:
    """Reads and writes one pipeline's lineage.

    Blobs are written first, then the commit that needs them, then the ref: whatever dies in between leaves no half
    state visible. What is read is verified against its hash. Every failure is a StorageError. Safe to use from several
    threads, processes and machines at once.
    """

    def __init__(self, store: Store, pipeline: str) -> None:
        self.store = store
        self.pipeline = layout.checked_pipeline(pipeline)

    def read(self, commit: str) -> Commit:
        """The commit with this id.

        Raises:
            MissingKey: it is not there.
            CorruptCommit: it is damaged or was tampered with.
        """
        key = layout.commit_key(self.pipeline, commit)
        return Commit.parse(self.store.get(key), expected=commit, source=self._where(key))

    def exists(self, commit: str) -> bool:
        """Whether the commit with this id was written."""
        return self.store.exists(layout.commit_key(self.pipeline, commit))

    def write(self, commit: Commit, blobs: Mapping[str, bytes] | Iterable[bytes] = ()) -> Commit:
        """Write a commit after its blobs; if another writer was first, theirs stays.

        Args:
            blobs: those that may not be stored yet, by SHA-256 or without names. Stored ones are not sent again.

        Returns:
            The stored commit: `commit`, or the one with the same id that was there before.

        Raises:
            CorruptBlob: a blob that the commit needs is neither in `blobs` nor in the store, or has another size.
            CorruptCommit: the commit that was there before is damaged.
        """
        given = {hashlib.sha256(data).hexdigest(): data for data in _contents(blobs)}
        needed = commit.referenced()
        for sha256, data in given.items():
            if needed.get(sha256, len(data)) != len(data):
                raise CorruptBlob(f"blob {sha256}: commit {commit.id[:12]} records a wrong size")
        in_parallel(self._store_blob, given.items(), PARALLEL)
        rest = {sha256: size for sha256, size in needed.items() if sha256 not in given}
        in_parallel(lambda item: self._require_blob(commit, *item), rest.items(), PARALLEL)
        key = layout.commit_key(self.pipeline, commit.id)
        return commit if self.store.put_if_absent(key, commit.to_json()) else self.read(commit.id)

    def chain(self, commit: str) -> list[Commit]:
        """The commit and all its ancestors, oldest first.

        Raises:
            StorageError: one of them is missing (the message names its child) or damaged.
        """
        chain: list[Commit] = []
        current: str | None = commit
        while current is not None:
            try:
                chain.append(self.read(current))
            except MissingKey as error:
                if not chain:
                    raise
                child = chain[-1].id[:12]
                raise StorageError(
                    f"{error}: the parent of commit {child} is lost.\nRestore it from a copy of the storage"
                ) from None
            current = chain[-1].parent
        return chain[::-1]

    def leading(self, ids: Sequence[str], known: Sequence[Commit] = ()) -> list[Commit]:
        """The commits that exist without a gap from the first of `ids`, each the parent of the next, oldest first.

        Args:
            known: the first of them, which are not read again.

        Raises:
            CorruptCommit: one of them is damaged.
        """
        found = list(known)
        for start in range(len(found), len(ids), PARALLEL):
            for commit in in_parallel(self.read_if_there, ids[start : start + PARALLEL], PARALLEL):
                if commit is None or commit.parent != (found[-1].id if found else None):
                    return found
                found.append(commit)
        return found

    def longest(self, ids: Sequence[str]) -> int:
        """How many of `ids`, oldest first, exist as an unbroken chain from the first. Raises as `leading`."""
        return len(self.leading(ids))

    def commits(self) -> Iterator[str]:
        """The ids of all commits, sorted."""
        prefix = layout.commits_prefix(self.pipeline)
        for key in self.store.list(prefix):
            name = key.removeprefix(prefix).removesuffix(".json")
            if re.fullmatch(r"[0-9a-f]{64}", name) and key.endswith(".json"):
                yield name

    def find(self, prefix: str) -> list[str]:
        """The ids of the commits that begin with `prefix` (4 hexadecimal digits or more), sorted."""
        if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", prefix):
            return []
        start = layout.commits_prefix(self.pipeline)
        found = (key.removeprefix(start).removesuffix(".json") for key in self.store.list(start + prefix))
        return [name for name in found if re.fullmatch(r"[0-9a-f]{64}", name)]

    def ref(self, name: str) -> Ref | None:
        """What a ref stands for; None when it does not exist. Raises CorruptCommit when its file is damaged."""
        found = self._read_ref(name)
        return found[0] if found else None

    def stands(self, name: str, commit: str) -> bool:
        """Whether a ref stands for `commit`. Raises as `ref`."""
        ref = self.ref(name)
        return ref is not None and ref.commit == commit

    def refs(self) -> dict[str, Ref]:
        """All refs by name. Raises CorruptCommit when one is damaged."""
        prefix = layout.refs_prefix(self.pipeline)
        found: dict[str, Ref] = {}
        for key in self.store.list(prefix):
            name = key.removeprefix(prefix).removesuffix(".json")
            ref = self.ref(name) if key.endswith(".json") and layout.is_ref(name) else None
            if ref is not None:
                found[name] = ref
        return found

    def move_ref(self, name: str, commit: str, expected: int | None) -> Ref:
        """Let a ref stand for `commit`, if nobody moved it since it was read.

        Args:
            expected: the generation that was read; None: the ref does not exist yet.

        Raises:
            RefConflict: somebody did.
            MissingKey: there is no such commit.
        """
        if not self.exists(commit):
            key = layout.commit_key(self.pipeline, commit)
            raise MissingKey(f"{self._where(key)}: no such commit; the ref {name!r} cannot stand for it")
        found = self._read_ref(name)
        if (found[0].generation if found else None) == expected:
            ref = Ref(commit, (expected or 0) + 1)
            data = canonical_json({"commit": ref.commit, "generation": ref.generation})
            key = layout.ref_key(self.pipeline, name)
            if self.store.compare_and_swap(key, data, found[1] if found else None):
                return ref
        raise RefConflict(
            f"{self._where(layout.ref_key(self.pipeline, name))}: another run moved it in between.\n"
            "Let the other run finish, then run again: what it committed is reused"
        )

    def point(self, name: str, commit: str) -> Ref:
        """Let a ref stand for `commit` whatever it stood for; no write when it does already.

        Raises:
            RefConflict: others kept moving it.
            MissingKey: there is no such commit.
        """
        for attempt in range(_ATTEMPTS):
            current = self.ref(name)
            if current is not None and current.commit == commit:
                return current
            try:
                return self.move_ref(name, commit, current.generation if current else None)
            except RefConflict:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def put_blob(self, data: bytes) -> str:
        """Store `data` unless it is there already; its SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._store_blob((sha256, data))
        return sha256

    def blob(self, sha256: str, *, commit: str | None = None) -> bytes:
        """A blob's bytes, verified.

        Args:
            commit: whose blob it is, for messages.

        Raises:
            CorruptBlob: it is missing or damaged.
        """
        key = layout.blob_key(self.pipeline, sha256)
        try:
            data = self.store.get(key)
        except MissingKey:
            raise self._corrupt(key, commit, "it is missing") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self._corrupt(key, commit, "its content does not match its SHA-256")
        return data

    def tensors(
        self, sha256: str, *, commit: str | None = None, like: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The tensors in a blob; arguments and errors as `blob` and `orchestrator.storage.tensors.decode`."""
        from orchestrator.storage.tensors import decode

        data = self.blob(sha256, commit=commit)
        try:
            return decode(data, like=like)
        except CorruptBlob as error:
            raise self._corrupt(layout.blob_key(self.pipeline, sha256), commit, str(error)) from None

    def _store_blob(self, item: tuple[str, bytes]) -> None:
        sha256, data = item
        key = layout.blob_key(self.pipeline, sha256)
        with suppress(MissingKey):
            # Another size is what a damaged file system or a careless copy left: writing again repairs it.
            if self.store.size(key) == len(data):
                return
        self.store.put(key, data)

    def _require_blob(self, commit: Commit, sha256: str, size: int) -> None:
        key = layout.blob_key(self.pipeline, sha256)
        try:
            stored = self.store.size(key)
        except MissingKey:
            raise self._corrupt(key, commit.id, "it is missing") from None
        if stored != size:
            raise self._corrupt(key, commit.id, f"it has {stored} bytes instead of {size}")

    def read_if_there(self, commit: str) -> Commit | None:
        """The commit with this id, None without any. Raises CorruptCommit when it is damaged."""
        try:
            return self.read(commit)
        except MissingKey:
            return None

    def _read_ref(self, name: str) -> tuple[Ref, str] | None:
        key = layout.ref_key(self.pipeline, name)
        found = self.store.read_versioned(key)
        if found is None:
            return None
        data, version = found
        try:
            document = parse_json(data)
            commit, generation = document["commit"], document["generation"]
            layout.checked_sha256(commit)
            if type(generation) is not int or not 0 < generation < 2**53:
                raise ValueError("not a generation")
        except (ValueError, TypeError, KeyError, StorageError):
            raise CorruptCommit(
                f"{self._where(key)}: this ref is damaged.\nDelete it: the next run sets it anew"
            ) from None
        return Ref(commit, generation), version

    def _corrupt(self, key: str, commit: str | None, problem: str) -> CorruptBlob:
        owner = f" of commit {commit[:12]}" if commit else ""
        return CorruptBlob(
            f"{self._where(key)}: blob{owner} is damaged: {problem}.\n"
            "Restore it from a copy of the storage, or delete both: the next run then trains the commit again"
        )

    def _where(self, key: str) -> str:
        return f"{self.store.uri}/{key}"


def _contents(blobs: Mapping[str, bytes] | Iterable[bytes]) -> Iterable[bytes]:
    return blobs.values() if isinstance(blobs, Mapping) else blobs
