"""Copying pipelines from one store to another: blobs first, then the commits that need them, parents first, then refs.

If a copy is interrupted, only whole chains are at the destination, and the same command resumes the copy: objects that
are there already are read and compared by their SHA-256, not sent again. Objects that were sent are read back as well.
A commit that was trained at the destination is kept. Claims, scratch files, checkpoints, records of searches, and blobs
that no commit names are not copied.

A copy holds a claim on the destination, as `gc` does; the source is only read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CorruptBlob, CorruptCommit, MissingKey, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.claim import OnWarning, claimed
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.decisions import CHAMPION, PROPOSED
from orchestrator.lineage.forgotten_ids import copy_tombstones
from orchestrator.lineage.lineage import Ref
from orchestrator.lineage.past_outline import remove_outlines
from orchestrator.maintenance.copy_admissions import admitted_blobs, copy_admissions
from orchestrator.maintenance.copy_decisions import copy_decisions
from orchestrator.maintenance.store_contents import read_contents
from orchestrator.storage.parallel_requests import in_parallel

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage

# Blobs in memory at once.
PARALLEL = 4
_BATCH = 64

Progress = Callable[[str, int, int], None]


@dataclass
class Copied:
    """The result of copying one pipeline.

    Attributes:
        pipeline: its name.
        commits, blobs, refs, admissions, decisions: how many were written.
        replaced: commits that were damaged at the destination, or in which samples have been forgotten since.
        same: objects that were at the destination already.
        kept: other commits and refs of the destination that were kept.
        bytes: written.
        problems: what could not be copied, and why.
    """

    pipeline: str
    commits: int = 0
    blobs: int = 0
    refs: int = 0
    admissions: int = 0
    same: int = 0
    kept: int = 0
    decisions: int = 0
    replaced: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "commits": self.commits,
            "blobs": self.blobs,
            "refs": self.refs,
            "admissions": self.admissions,
            "same": self.same,
            "kept": self.kept,
            "decisions": self.decisions,
            "replaced": self.replaced,
            "bytes": self.bytes,
            "problems": self.problems,
        }


def copy(
    source: Lineage, target: Lineage, *, progress: Progress | None = None, on_warning: OnWarning | None = None
) -> Copied:
    """Copy one pipeline, except for damaged objects of the source and the commits that need them.

    Args:
        progress: called with `blobs` or `commits`, the number copied, and the number of all.
        on_warning: called with warnings.

    Raises:
        Claimed: a run, a search or a care command is working on the pipeline at the destination.
        StorageError: a store cannot be used; or samples were forgotten at the destination that the source still has.
    """
    with claimed(target, "copy", on_warning=on_warning) as claim:
        return _Copy(source, target.fenced(claim.fence), progress or (lambda part, done, total: None)).run()


class _Copy:
    def __init__(self, source: Lineage, target: Lineage, progress: Progress) -> None:
        self._source, self._target, self._progress = source, target, progress
        self._result = Copied(source.pipeline)

    def run(self) -> Copied:
        # Before anything else, so that no run at the destination takes forgotten samples into a memory.
        copy_tombstones(self._source, self._target)
        commits = self._read_commits()
        lost = self._copy_blobs(commits, admitted_blobs(self._source))
        done = self._copy_commits(commits, lost)
        self._result.admissions = copy_admissions(self._source, self._target, lost, self._result.problems.append)
        listed = read_contents(self._source)
        if listed.decisions:
            self._result.decisions, problems = copy_decisions(self._source, self._target)
            self._result.problems += problems
        # The champion follows from the decisions, and may go back.
        decided = {CHAMPION, PROPOSED} if listed.decisions else set()
        for name in sorted(listed.refs.keys() - decided):
            self._copy_ref(name, done)
        return self._result

    def _read_commits(self) -> list[Commit]:
        """The commits that are whole, parents first."""
        found: list[Commit] = []
        for id_ in self._source.commits():
            try:
                found.append(self._source.read(id_).outline())
            except MissingKey:
                continue
            except StorageError as error:
                self._result.problems.append(str(error).splitlines()[0])
        return sorted(found, key=lambda commit: (commit.experience.index, commit.id))

    def _copy_blobs(self, commits: list[Commit], admitted: list[str]) -> set[str]:
        """Copy the blobs that the commits and the admission log need; returns the SHA-256 of the damaged ones."""
        needed = sorted({sha256 for commit in commits for sha256 in commit.referenced()} | set(admitted))
        lost: set[str] = set()
        for start in range(0, len(needed), _BATCH):
            batch = needed[start : start + _BATCH]
            for sha256, size in zip(batch, in_parallel(self._copy_blob, batch, PARALLEL), strict=True):
                if size is None:
                    lost.add(sha256)
                elif size:
                    self._result.blobs += 1
                    self._result.bytes += size
                else:
                    self._result.same += 1
            self._progress("blobs", start + len(batch), len(needed))
        return lost

    def _copy_blob(self, sha256: str) -> int | None:
        """Bytes written; 0: the blob is at the destination already; None: it is damaged at the source."""
        key = layout.blob_key(self._target.pipeline, sha256)
        if self._holds(key, sha256):
            return 0
        try:
            data = self._source.blob(sha256)
        except CorruptBlob as error:
            self._result.problems.append(str(error).splitlines()[0])
            return None
        self._target.put(key, data)
        size = len(data)
        del data
        if not self._holds(key, sha256):
            raise StorageError(f"{self._target.store.uri}/{key}: the storage does not return what was written to it")
        return size or None

    def _holds(self, key: str, sha256: str) -> bool:
        try:
            return hashlib.sha256(self._target.store.get(key)).hexdigest() == sha256
        except MissingKey:
            return False

    def _copy_commits(self, commits: list[Commit], lost: set[str]) -> set[str]:
        """Copy the commits; returns the ids of those that are at the destination then."""
        done: set[str] = set()
        for number, commit in enumerate(commits, start=1):
            if commit.parent is not None and commit.parent not in done:
                self._result.problems.append(f"commit {commit.id[:12]} was not copied: its parent was not")
            elif lost & commit.referenced().keys():
                self._result.problems.append(f"commit {commit.id[:12]} was not copied: it needs a damaged blob")
            elif self._copy_commit(commit):
                done.add(commit.id)
            self._progress("commits", number, len(commits))
        return done

    def _copy_commit(self, commit: Commit) -> bool:
        store, key = self._target.store, layout.commit_key(self._target.pipeline, commit.id)
        data = self._source.store.get(layout.commit_key(self._source.pipeline, commit.id))
        for _ in range(2):
            found = store.read_versioned(key)
            if found is not None and found[0] == data:
                self._result.same += 1
                return True
            if found is not None and not self._follows(commit, found[0]):
                self._result.kept += 1
                return True
            if found is None:
                self._target.put(key, data)
                break
            self._target.check_fence()
            remove_outlines(self._target)
            if store.compare_and_swap(key, data, found[1]):
                break
        if store.get(key) != data:
            raise StorageError(f"{store.uri}/{key}: the storage does not return what was written to it")
        self._result.commits += found is None
        self._result.replaced += found is not None
        self._result.bytes += len(data)
        return True

    def _follows(self, commit: Commit, stored: bytes) -> bool:
        """Whether what is stored is damaged, or an earlier state of the same commit."""
        try:
            old = Commit.parse(stored, expected=commit.id)
        except CorruptCommit:
            return True
        more = len(commit.forgotten) > len(old.forgotten) or bool(commit.thinned and not old.thinned)
        earlier = commit.forgotten[: len(old.forgotten)] == old.forgotten
        return more and earlier and commit.created == old.created

    def _copy_ref(self, name: str, done: set[str]) -> None:
        try:
            ours = self._source.ref(name)
        except CorruptCommit as error:
            self._result.problems.append(str(error).splitlines()[0])
            return
        if ours is None:
            return
        if ours.commit not in done:
            self._result.problems.append(f"ref {name} was not copied: its commit was not")
            return
        try:
            theirs: Ref | None = self._target.ref(name)
        except CorruptCommit:
            self._target.delete(layout.ref_key(self._target.pipeline, name))
            theirs = None
        if theirs is not None and theirs.commit == ours.commit:
            self._result.same += 1
        elif theirs is None or theirs.commit in {commit.id for commit in self._source.chain(ours.commit)}:
            self._target.move_ref(name, ours.commit, theirs.generation if theirs else None)
            self._result.refs += 1
        elif self._is_ahead(theirs.commit, ours.commit):
            self._result.kept += 1
        else:
            self._result.problems.append(
                f"ref {name} was not copied: at the destination it stands for {theirs.commit[:12]}, of another history"
            )

    def _is_ahead(self, theirs: str, ours: str) -> bool:
        try:
            return ours in {commit.id for commit in self._target.chain(theirs)}
        except StorageError:
            return False
