"""Verifying a store: every object against its hash, every reference against the object that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from orchestrator.errors import CorruptBlob, CorruptCommit, MissingKey, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.fencing import is_note
from orchestrator.lineage.forgotten_ids import Tombstones, read_tombstones
from orchestrator.lineage.past_outline import follows_from_commits
from orchestrator.maintenance.check_decisions import decision_problems
from orchestrator.maintenance.check_shards import groups, length_problem, record_problems
from orchestrator.maintenance.store_contents import Contents, checkpoint_name, read_contents
from orchestrator.maintenance.store_report import Damage, Report, later_commits
from orchestrator.storage.parallel_requests import in_parallel
from orchestrator.tuning.trial_record import TrialRecord
from orchestrator.updates.admission_log import AdmissionLog, whole_log
from orchestrator.updates.admission_record import State

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.store import Entry, Store

# Objects in memory at once, each as its bytes and its tensors.
PARALLEL = 4
_BATCH = 64

Progress = Callable[[int, int], None]


def unknown_pipelines(store: Store) -> tuple[list[str], list[str]]:
    """The names of the pipelines in a store, and the keys that belong to none."""
    names, strange = [], []
    for name in store.folders():
        try:
            names.append(layout.checked_pipeline(name))
        except StorageError:
            strange += list(store.list(f"{name}/"))
    strange += [key for key in store.list() if "/" not in key]
    below = tuple(f"{name}/" for name in names)
    strange += [name for name in store.foreign() if not name.startswith(below)]
    return names, sorted(strange)


def fsck(lineage: Lineage, progress: Progress | None = None) -> Report:
    """Verify everything of a pipeline. Reads all of it, `PARALLEL` objects at a time, and changes nothing.

    A run may train meanwhile.

    Args:
        progress: called with the number of blobs that are verified, and the number of all.

    Raises:
        StorageError: the storage cannot be read.
    """
    return _Check(lineage, progress or (lambda done, total: None)).run()


@dataclass
class _Blob:
    """A blob after it was read: what is wrong with it, and what it holds as a shard."""

    problem: str | None = None
    held: dict[str, int] | None = None
    no_shard: str | None = None
    to_forget: int = 0


class _Check:
    def __init__(self, lineage: Lineage, progress: Progress) -> None:
        self._lineage, self._store, self._progress = lineage, lineage.store, progress
        self._commits: dict[str, Commit | None] = {}
        self._broken: set[str] = set()
        self._tests: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        self._tombstones = Tombstones()
        self._report = Report(lineage.pipeline)

    def run(self) -> Report:
        report = self._report
        # Commits are listed first: their blobs were written before them. Commits that a run adds later are not checked.
        listed = read_contents(self._lineage)
        try:
            self._tombstones = read_tombstones(self._lineage)
        except CorruptCommit:
            self._hit(layout.tombstones_key(self._lineage.pipeline), "damaged: it says which samples were forgotten")
        self._read_commits(listed)
        self._read_admissions()
        self._check_blobs(listed)
        report.usable = self._usable()
        self._check_refs(listed)
        self._check_rest(listed)
        report.commits, report.blobs, report.bytes = len(listed.commits), len(listed.blobs), listed.bytes
        report.unreferenced += [entry.key for entry in listed.unfinished]
        report.unknown = [entry.key for entry in listed.unknown]
        report.unknown += self._store.foreign(f"{self._lineage.pipeline}/")
        report.damage.sort(key=lambda damage: damage.key)
        return report

    def _hit(self, key: str, problem: str, commits: tuple[str, ...] = ()) -> None:
        self._report.damage.append(Damage(key, problem, commits))
        self._broken.update(commits)

    def _read_commits(self, listed: Contents) -> None:
        problems: dict[str, str] = {}

        def read(id_: str) -> Commit | None:
            try:
                return self._lineage.read(id_).outline()
            except MissingKey:
                return None  # removed by gc meanwhile
            except StorageError as error:
                problems[id_] = _first_line(error, listed.commits[id_].key, self._store.uri)
                return None

        for ids in _batches(sorted(listed.commits)):
            self._commits.update(zip(ids, in_parallel(read, ids, PARALLEL), strict=True))
        for id_, problem in problems.items():
            self._hit(listed.commits[id_].key, problem, (id_,))
        lost: dict[str, list[str]] = {}
        for id_, commit in self._commits.items():
            if commit is None:
                continue
            if commit.parent is not None and commit.parent not in self._commits:
                lost.setdefault(commit.parent, []).append(id_)
            for name, record in commit.memories.items():
                for problem in record_problems(commit, name, record):
                    self._hit(listed.commits[id_].key, problem, (id_,))
        for parent, children in lost.items():
            key = layout.commit_key(self._lineage.pipeline, parent)
            self._hit(key, "missing: a commit names it as its parent", tuple(children))

    def _read_admissions(self) -> None:
        state, problems = whole_log(self._lineage)
        for key, problem in problems:
            self._hit(key, problem)
        self._tests, self._labels = state.blobs(), state.label_blobs()
        key = layout.admission_index_key(self._lineage.pipeline)
        try:
            index = State.model_validate_json(self._store.get(key))
        except MissingKey:
            return
        except ValidationError:
            index = None
        known = AdmissionLog(self._lineage)
        # A step may add records meanwhile: the index is compared with as many as it names.
        if not problems and (index is None or index != known.first(index.records)):
            self._hit(key, "does not agree with the records: delete it, the next step writes it again")

    def _check_blobs(self, listed: Contents) -> None:
        owners: dict[str, list[str]] = {}
        for id_, commit in self._commits.items():
            for sha256 in commit.referenced() if commit else ():
                owners.setdefault(sha256, []).append(id_)
        wanted = sorted({*owners, *listed.blobs, *self._tests})
        found: dict[str, _Blob] = {}
        for batch in _batches(wanted):
            found.update(zip(batch, in_parallel(self._read_blob, batch, PARALLEL), strict=True))
            self._progress(len(found), len(wanted))
        # gc may have removed a commit and its blobs since they were listed.
        gone = {id_ for sha, b in found.items() if b.problem == _MISSING for id_ in owners.get(sha, [])}
        gone = {id_ for id_ in gone if not self._lineage.exists(id_)}
        for sha256, blob in found.items():
            users = tuple(id_ for id_ in owners.get(sha256, []) if id_ not in gone)
            key = layout.blob_key(self._lineage.pipeline, sha256)
            if blob.problem == _MISSING and not users and sha256 not in self._tests:
                continue
            if blob.problem is not None:
                self._hit(key, blob.problem, users)
            elif sha256 in self._tests and sha256 not in self._labels and blob.no_shard is not None:
                self._hit(key, f"no test set: {blob.no_shard}")
            elif blob.to_forget:
                self._hit(key, f"holds {blob.to_forget} samples that were to be forgotten: run everlearn forget again")
            if sha256 in listed.blobs and sha256 not in owners and sha256 not in self._tests:
                self._report.unreferenced.append(key)
        for id_, commit in self._commits.items():
            if commit is not None and id_ not in gone:
                self._check_sizes(commit, found, listed)
                self._check_shards(commit, found)

    def _read_blob(self, sha256: str) -> _Blob:
        from orchestrator.storage.tensors import decode

        try:
            data = self._store.get(layout.blob_key(self._lineage.pipeline, sha256))
        except MissingKey:
            return _Blob(_MISSING)
        if hashlib.sha256(data).hexdigest() != sha256:
            return _Blob("its content does not match its SHA-256")
        try:
            tensors = decode(data)
        except CorruptBlob as error:
            return _Blob(f"not safetensors: {error}")
        del data
        blob = _Blob()
        try:
            if sha256 not in self._labels:
                blob.held = groups(tensors)
            blob.to_forget = len(self._tombstones.among(tensors["ids"].tolist()))
        except (KeyError, ValueError) as error:
            blob.no_shard = str(error)
        return blob

    def _check_sizes(self, commit: Commit, found: Mapping[str, _Blob], listed: Contents) -> None:
        for sha256, size in commit.referenced().items():
            stored = listed.blobs.get(sha256)
            if found[sha256].problem is None and stored is not None and stored.bytes != size:
                key = layout.commit_key(self._lineage.pipeline, commit.id)
                self._hit(key, f"records {size} bytes of blob {sha256[:12]}, which has {stored.bytes}", (commit.id,))

    def _check_shards(self, commit: Commit, found: Mapping[str, _Blob]) -> None:
        key = layout.commit_key(self._lineage.pipeline, commit.id)
        for name, record in commit.memories.items():
            for shard in record.shards:
                blob = found[shard.sha256]
                if blob.problem is not None:
                    continue
                problem = blob.no_shard or length_problem(shard.lengths, blob.held or {})
                if problem:
                    self._hit(key, f"memory {name}, experience {shard.experience}: {problem}", (commit.id,))

    def _usable(self) -> list[str]:
        """The commits that can be loaded and whose ancestors' records are there."""
        rooted: dict[str | None, bool] = {None: True}
        for id_ in self._commits:
            path: list[str] = []
            current: str | None = id_
            while current not in rooted:
                path.append(str(current))
                commit = self._commits.get(str(current))
                if commit is None:
                    break
                current = commit.parent
            rooted.update(dict.fromkeys(path, rooted.get(current, False)))
        whole = {id_ for id_, commit in self._commits.items() if commit is not None and not commit.thinned}
        return sorted(id_ for id_ in whole - self._broken if rooted[id_])

    def _check_refs(self, listed: Contents) -> None:
        usable = set(self._report.usable)
        for name, entry in listed.refs.items():
            try:
                ref = self._lineage.ref(name)
            except CorruptCommit:
                self._hit(entry.key, "damaged")
                continue
            if ref is None:
                continue
            if ref.commit not in self._commits and not self._lineage.exists(ref.commit):
                self._hit(entry.key, f"stands for commit {ref.commit[:12]}, which is missing")
            self._report.refs[name] = (ref.commit, self._newest(ref.commit, usable))
            if name == "latest":
                parents = {id_: commit.parent for id_, commit in self._commits.items() if commit is not None}
                later = later_commits(parents, ref.commit)
                # A run that was killed leaves `latest` one commit behind, and the next run moves it.
                self._report.later = later if len(later) > 1 else []

    def _newest(self, id_: str, usable: set[str]) -> str | None:
        current: str | None = id_
        while current is not None and current not in usable:
            commit = self._commits.get(current)
            current = commit.parent if commit else None
        return current

    def _check_rest(self, listed: Contents) -> None:
        for entry, problem in zip(
            listed.checkpoints, in_parallel(self._checkpoint_problem, listed.checkpoints, PARALLEL), strict=True
        ):
            if problem:
                self._hit(entry.key, problem)
        for entry in listed.records:
            with suppress(MissingKey):
                try:
                    TrialRecord.model_validate_json(self._store.get(entry.key))
                except ValidationError:
                    self._hit(entry.key, "this record of a trial is damaged: the search cannot be resumed; delete it")
        for entry in listed.claims:
            try:
                Holder.parse(self._store.get(entry.key), entry.key)
            except MissingKey:
                continue
            except StorageError:
                self._hit(
                    entry.key,
                    "damaged: no run can take this claim; delete it once no process is working on the pipeline",
                )
        for key, problem in decision_problems(self._lineage):
            self._hit(key, problem)
        for id_, entry in listed.outlines.items():
            if not follows_from_commits(self._lineage, id_):
                self._hit(entry.key, "does not agree with the commits: delete it, the next step writes it again")
        debt = layout.debt_key(self._lineage.pipeline)
        owed = self._store.read_versioned(debt)
        if owed is not None and not is_note(owed[0]):
            self._hit(debt, "the storage still keeps older versions of forgotten samples: run everlearn forget again")

    def _checkpoint_problem(self, entry: Entry) -> str | None:
        from orchestrator.checkpointing.checkpoint import Checkpoint

        try:
            data = self._store.get(entry.key)
        except MissingKey:
            return None  # its run removed it meanwhile
        if hashlib.sha256(data).hexdigest() != checkpoint_name(entry)[1]:
            return "its content does not match its SHA-256: a run ignores it"
        try:
            Checkpoint.from_bytes(data)
        except CorruptBlob as error:
            return f"{error}: a run ignores it"
        return None


_MISSING = "missing"


def _batches(items: list[str]) -> list[list[str]]:
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]


def _first_line(error: StorageError, key: str, uri: str) -> str:
    return str(error).splitlines()[0].removeprefix(f"{uri}/{key}: ").rstrip(".")
