"""The commits, blobs and refs of one pipeline in a store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import CorruptBlob, CorruptCommit, MissingKey, RefConflict, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.canonical_json import canonical_json, parse_json
from orchestrator.lineage.commit import Commit, parse_once
from orchestrator.lineage.fencing import NOTE_BYTES, Fence, create, is_note, write_fenced
from orchestrator.storage.parallel_requests import in_parallel

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.storage.store import Store

# Requests at the same time.
PARALLEL = 8
SHORTEST_PREFIX = 4
_ATTEMPTS = 20


class Ref(NamedTuple):
    """A movable name: the commit that it points to, and how often it was moved."""

    commit: str
    generation: int


class Lineage:
    """Reads and writes one pipeline's lineage.

    Blobs are written first, then the commit that needs them, then the ref: a process that fails in between leaves no
    incomplete commit. Everything that is read is verified against its hash. A blob that is already stored when it is to
    be written is verified as well, and replaced if it is damaged. Every failure is a StorageError. Safe to use from
    several threads, processes and machines at once.

    Attributes:
        fence: of the claim under which this object writes (see `orchestrator.lineage.fencing`); None for readers and
            for programs that hold no claim: no claim is checked.
        verified: SHA-256 of blobs that this object has written, or read and verified.
    """

    def __init__(self, store: Store, pipeline: str, fence: Fence | None = None) -> None:
        self.store = store
        self.pipeline = layout.checked_pipeline(pipeline)
        self.fence = fence
        self.verified: set[str] = set()

    def fenced(self, fence: Fence) -> Lineage:
        """The same lineage for the holder of a claim: writes raise ClaimLost once the claim was taken over."""
        return Lineage(self.store, self.pipeline, fence)

    def read(self, commit: str) -> Commit:
        """The commit with this id.

        Raises:
            MissingKey: there is no such commit.
            CorruptCommit: it is damaged, or was changed.
        """
        key = layout.commit_key(self.pipeline, commit)
        data = self.store.get(key)
        if is_note(data):
            raise MissingKey(f"{self._where(key)}: not in the storage")
        return parse_once(data, commit, self._where(key))

    def exists(self, commit: str) -> bool:
        """Whether the commit with this id was written."""
        try:
            return self.store.size(layout.commit_key(self.pipeline, commit)) != NOTE_BYTES
        except MissingKey:
            return False

    def write(self, commit: Commit, blobs: Mapping[str, bytes] | Iterable[bytes] = ()) -> Commit:
        """Write a commit after its blobs; a commit with the same id that is stored already is kept.

        Args:
            blobs: the blobs that may not be stored yet, by SHA-256 or without names. Stored blobs are not sent again.

        Returns:
            The stored commit: `commit`, or the one with the same id that was there before.

        Raises:
            ClaimLost: the claim under which this writes was taken over; the commit never becomes visible.
            CorruptBlob: a blob that the commit needs is neither in `blobs` nor in the store, or is damaged there.
            CorruptCommit: the commit that was there before is damaged.
        """
        from orchestrator.lineage.write_commit import write_commit

        return write_commit(self, commit, blobs)

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

    def leading(self, ids: Sequence[str], known: Sequence[Commit] = (), *, anew: bool = False) -> list[Commit]:
        """The commits that exist without a gap from the first of `ids`, each the parent of the next, oldest first.

        Args:
            known: the first of these commits, which are not read again.
            anew: they were read before the claim was taken: the last is read again, and all where it has changed.

        Raises:
            CorruptCommit: one of them is damaged.
        """
        found = list(known)
        if anew and found and self.read_if_there(found[-1].id) != found[-1]:
            found = []
        window = PARALLEL
        while (start := len(found)) < len(ids):
            # A few at first, as there may be no more; then many, as beginning with some takes time, too.
            window, asked = min(2 * window, 8 * PARALLEL), ids[start : start + window]
            for commit in in_parallel(self.read_if_there, asked, PARALLEL):
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
        for key, size, _ in self.store.entries(prefix):
            name = key.removeprefix(prefix).removesuffix(".json")
            if re.fullmatch(r"[0-9a-f]{64}", name) and key.endswith(".json") and size != NOTE_BYTES:
                yield name

    def find(self, prefix: str) -> list[str]:
        """The ids of the commits that begin with `prefix` (4 hexadecimal digits or more), sorted."""
        if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", prefix):
            return []
        start = layout.commits_prefix(self.pipeline)
        written = (key for key, size, _ in self.store.entries(start + prefix) if size != NOTE_BYTES)
        found = (key.removeprefix(start).removesuffix(".json") for key in written)
        return [name for name in found if re.fullmatch(r"[0-9a-f]{64}", name)]

    def ref(self, name: str) -> Ref | None:
        """The ref of this name; None when it does not exist. Raises CorruptCommit when its file is damaged."""
        found = self._read_ref(name)
        return found[0] if found else None

    def stands(self, name: str, commit: str) -> bool:
        """Whether a ref points to `commit`. Raises as `ref`."""
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
        """Move a ref to `commit`, if it was not moved since it was read.

        Args:
            expected: the generation that was read; None: the ref does not exist yet.

        Raises:
            RefConflict: the ref was moved meanwhile.
            ClaimLost: the claim under which this writes was taken over.
            MissingKey: there is no such commit.
        """
        self.check_fence()
        if not self.exists(commit):
            key = layout.commit_key(self.pipeline, commit)
            raise MissingKey(f"{self._where(key)}: no such commit; the ref {name!r} cannot stand for it")
        found = self._read_ref(name)
        if (found[0].generation if found else None) == expected:
            ref = Ref(commit, (expected or 0) + 1)
            data = canonical_json({"commit": ref.commit, "generation": ref.generation})
            key = layout.ref_key(self.pipeline, name)
            if found:
                moved = self.store.compare_and_swap(key, data, found[1])
            else:
                moved = create(self.store, self.fence, key, data)
            if moved:
                return ref
        self.check_fence()
        raise RefConflict(
            f"{self._where(layout.ref_key(self.pipeline, name))}: another run moved it meanwhile.\n"
            "Let the other run finish, then run again: what it committed is reused"
        )

    def advance(self, name: str, commit: str, expected: int | None) -> Ref:
        """As `move_ref`; the holder of the claim also moves a ref that a writer without the claim moved to an ancestor.

        Raises:
            RefConflict, ClaimLost, MissingKey: as `move_ref`.
        """
        try:
            return self.move_ref(name, commit, expected)
        except RefConflict:
            current = self.ref(name) if self.fence else None
            if current is None or current.commit not in {ancestor.id for ancestor in self.chain(commit)}:
                raise
            return self.move_ref(name, commit, current.generation)

    def point(self, name: str, commit: str) -> Ref:
        """Move a ref to `commit`, wherever it points now; nothing is written when it points there already.

        Raises:
            RefConflict: other writers kept moving the ref.
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
        """Store a blob unless it is stored already; returns its SHA-256. Raises ClaimLost as `write`."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.holds(sha256):
            self.put(layout.blob_key(self.pipeline, sha256), data)
        return sha256

    def put(self, key: str, data: bytes) -> None:
        """Write an object whose key determines its content. ClaimLost: it is not written, and never will be."""
        if self.fence is None:
            self.store.put(key, data)
        else:
            write_fenced(self.store, self.fence, key, data)

    def delete(self, key: str) -> None:
        """Remove an object. Raises ClaimLost when the claim was taken over."""
        self.check_fence()
        self.store.delete(key)

    def check_fence(self) -> None:
        """Raise ClaimLost when the claim under which this writes was taken over."""
        if self.fence is not None:
            self.fence.check(self.store)

    def blob(self, sha256: str, *, commit: str | None = None) -> bytes:
        """A blob's bytes, verified.

        Args:
            commit: the id of the commit that needs the blob, for messages.

        Raises:
            CorruptBlob: it is missing or damaged.
        """
        key = layout.blob_key(self.pipeline, sha256)
        try:
            data = self.store.get(key)
        except MissingKey:
            raise self.corrupt(key, commit, "it is missing") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            problem = "it is missing" if is_note(data) else "its content does not match its SHA-256"
            raise self.corrupt(key, commit, problem)
        self.verified.add(sha256)
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
            raise self.corrupt(layout.blob_key(self.pipeline, sha256), commit, str(error)) from None

    def holds(self, sha256: str) -> bool:
        """Whether a blob is stored and whole."""
        try:
            self.blob(sha256)
        except CorruptBlob:
            return False
        return True

    def read_if_there(self, commit: str) -> Commit | None:
        """The commit with this id; None when it is not stored. Raises CorruptCommit when it is damaged."""
        try:
            return self.read(commit)
        except MissingKey:
            return None

    def _read_ref(self, name: str) -> tuple[Ref, str] | None:
        key = layout.ref_key(self.pipeline, name)
        found = self.store.read_versioned(key)
        if found is None or is_note(found[0]):
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
                f"{self._where(key)}: this ref is damaged.\nDelete it: the next run writes it again"
            ) from None
        return Ref(commit, generation), version

    def corrupt(self, key: str, commit: str | None, problem: str) -> CorruptBlob:
        """The error that a blob is damaged, of this commit if one is named."""
        owner = f" of commit {commit[:12]}" if commit else ""
        return CorruptBlob(
            f"{self._where(key)}: blob{owner} is damaged: {problem}.\n"
            "Restore it from a copy of the storage, or delete both: the next run then trains the commit again"
        )

    def _where(self, key: str) -> str:
        return f"{self.store.uri}/{key}"
