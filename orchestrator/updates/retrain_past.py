"""Training the past again: under other settings, or from files that were overwritten, on a branch of the lineage.

Nothing that is in use changes while a backfill trains: its commits are reached by a ref of their own. Adopting it
restates the experiences in the admission log and moves `latest`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import RefConflict
from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.forgotten_ids import read_tombstones
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates.admission_entries import AdmittedExperience, FileRecord, SchemaRecord
from orchestrator.updates.admission_log import AdmissionLog
from orchestrator.updates.admission_record import State
from orchestrator.updates.admit_files import Admission
from orchestrator.updates.admitted_stream import admitted_stream, files_of, source_of
from orchestrator.updates.file_verdict import Found, first_contents, misfit, same_version
from orchestrator.updates.run_step import latest_commit
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream

REF = "backfill"
Train = Callable[[Pipeline, Stream, str], "tuple[int, str]"]
"""Trains a stream under a ref: how many experiences, and the id of the last commit."""


@dataclass(frozen=True)
class Cost:
    """What it takes to train the past again.

    Attributes:
        pipeline: its name.
        experiences: of the log.
        first: the first that is trained again; those before it are reused.
        rows, files, bytes: of those that are trained again.
        seconds: that these experiences took when they were trained last, as far as it is known.
        changed: keys of files that have another content than when they were admitted.
        missing: keys of files that are gone.
        late: how many labels came too late when these experiences were made, and count now.
    """

    pipeline: str
    experiences: int
    first: int
    rows: int
    files: int
    bytes: int
    seconds: float
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    late: int = 0

    @property
    def again(self) -> int:
        """How many experiences are trained again."""
        return self.experiences - self.first

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "experiences": self.experiences,
            "reused": self.first,
            "train": self.again,
            "rows": self.rows,
            "files": self.files,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "changed": list(self.changed),
            "missing": list(self.missing),
            "late": self.late,
        }


class Backfill:
    """The past of a pipeline, as it would be trained from what lies in the source now.

    Raises:
        PipelineError: nothing arrives in this pipeline, or nothing was admitted yet.
        StorageError: the source or the store cannot be used.
    """

    def __init__(self, pipeline: Pipeline, *, everything: bool = False) -> None:
        """
        Args:
            everything: read all experiences again, those without a known change included: after a change of an option
                by which files are read.
        """
        source = source_of(pipeline)
        if source is None:
            raise PipelineError("stream: nothing arrives here: `everlearn run` trains what its dataset holds")
        self._pipeline, self._source = pipeline, source
        self._lineage = Lineage(open_store(pipeline.storage), pipeline.name)
        self._log = AdmissionLog(self._lineage)
        self._state = self._log.read()
        if not self._state.experiences:
            raise PipelineError("stream.source: nothing was admitted yet: `everlearn step FILE` admits what is there")
        files = files_of(pipeline, source)
        self._listing = files.listing(self._state.files)
        self._here = {found.key: found for found in self._listing.files}
        self._admission = Admission(source, files, self._listing)
        self._first = 0 if everything or self._other_classes() else self._first_changed()

    def cost(self) -> Cost:
        """What it takes. No file is read."""
        again = self._state.experiences[self._first :]
        keys = [member.key for one in again for member in one.files]
        latest = latest_commit(self._lineage)
        chain = self._lineage.chain(latest.id)[self._first :] if latest is not None and again else []
        return Cost(
            pipeline=self._pipeline.name,
            experiences=len(self._state.experiences),
            first=self._first,
            rows=sum(one.rows for one in again),
            files=len(keys),
            bytes=sum(self._here[key].size for key in keys if key in self._here),
            seconds=sum(sum(commit.timings.values()) for commit in chain),
            changed=tuple(m.key for one in again for m in one.files if m.key in self._here and not self._same(m)),
            missing=tuple(key for key in keys if key not in self._here),
            late=sum(
                late.labels
                for one in again
                for file in self._state.late(one)
                for late in file.late or ()
                if late.serial == one.serial
            ),
        )

    def train(self, train: Train, *, ref: str = REF, without_missing: bool = False) -> tuple[int, str]:
        """Train on a branch: how many experiences, and the last commit. `latest` and the log stay as they are.

        Raises:
            PipelineError: a file is gone, or does not fit; nothing was trained.
        """
        if ref == "latest":
            raise PipelineError("--ref: latest is the chain in use: a backfill needs another name")
        with claimed(self._lineage, "run") as claim:
            state = self._restated(self._lineage.fenced(claim.fence), without_missing)[0]
        return train(self._pipeline, admitted_stream(self._pipeline, self._source, state), ref)

    def adopt(self, *, without_missing: bool = False) -> str:
        """Let the log say what was trained again, and `latest` name it: the id of the commit.

        Raises:
            PipelineError: it is not trained yet, or the stream has grown since.
        """
        with claimed(self._lineage, "run") as claim:
            held = self._lineage.fenced(claim.fence)
            state, fields = self._restated(held, without_missing)
            stream = admitted_stream(self._pipeline, self._source, state)
            last = plan_without_bad(self._pipeline, stream, held)[1][-1].id
            if not held.exists(last):
                raise PipelineError(
                    f"{self._pipeline.name}: what the files hold now is not trained to its end: run "
                    "`everlearn backfill FILE --yes` first; what is trained already is reused"
                )
            log = AdmissionLog(held)
            if log.read() != self._state:
                raise RefConflict(f"{self._pipeline.name}: a step has admitted files meanwhile. Run again")
            if fields:
                log.append(**fields)
            held.point("latest", last)
        return last

    def _restated(self, lineage: Lineage, without_missing: bool) -> tuple[State, dict[str, Any]]:
        """The state with the first changed experience and all later ones read again, and the fields of its record."""
        again = self._state.experiences[self._first :]
        missing = [member.key for one in again for member in one.files if member.key not in self._here]
        if missing and not without_missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise PipelineError(
                f"{self._source.path}: {shown}: gone, and needed to train the past again. Restore them, or leave their "
                "experiences out: --without-missing"
            )
        contents = self._contents() if self._first == 0 else self._state.contents
        assert contents is not None
        tombstones = read_tombstones(lineage)
        restated: list[AdmittedExperience] = []
        records: list[FileRecord] = []
        withdrawn: list[int] = []
        for one in again:
            if any(member.key not in self._here for member in one.files):
                withdrawn.append(one.serial)
                continue
            group = tuple(self._file(self._here[member.key], contents) for member in one.files)
            data = [(file.key, self._admission.content(file)) for file in group]
            given = self._admission.joins(lineage, self._state).given_again(group, one, tombstones)
            made = self._admission.experience(lineage, group, data, contents, one.serial, tombstones, given)
            if made != one:
                restated.append(made)
                records += group
        fields: dict[str, Any] = {
            "contents": None if contents == self._state.contents else contents,
            "files": tuple(records),
            "restated": tuple(restated),
            "withdrawn": tuple(withdrawn),
        }
        if not any(fields.values()):
            return self._state, {}
        log = AdmissionLog(self._lineage)
        log.state = self._state
        return self._state.fold([log.next_record(**fields)]), fields

    def _file(self, found: Found, contents: SchemaRecord) -> FileRecord:
        look = self._admission.look(found)
        problem = f"{found.key}: is being written" if look is None else look.problem or misfit(look, contents)
        if look is None or problem:
            raise PipelineError(f"{problem}. Correct the file; nothing was trained")
        return FileRecord(
            key=found.key,
            size=found.size,
            version=found.version,
            sha256=look.sha256,
            rows=look.rows,
            verdict="admitted",
            kind="new",
            time=look.time,
            since=None if look.ids is None else self._since(found, look.sha256),
        )

    def _since(self, found: Found, sha256: str) -> float:
        entry = self._state.files.get(found.key)
        known = entry.since if entry is not None and entry.sha256 == sha256 else None
        return found.modified if known is None else known

    def _contents(self) -> SchemaRecord | None:
        """What the files have in common now, where their classes are those of the pipeline file."""
        known, source = self._state.contents, self._source
        keys = dict.fromkeys(m.key for one in self._state.experiences for m in one.files if m.key in self._here)
        looks = [(key, self._admission.look(self._here[key])) for key in keys]
        if known is not None and source.classes is None:
            listed = known.classes if known.labels is None else list(known.labels)
            source = source.model_copy(update={"classes": listed})
        return first_contents(source, looks)

    def _first_changed(self) -> int:
        """The first experience whose commit the present settings and files do not give."""
        whole = admitted_stream(self._pipeline, self._source, self._state)
        stream, plan, _ = plan_without_bad(self._pipeline, whole, self._lineage)
        known = self._lineage.longest([planned.id for planned in plan])
        # What was rolled back stays left out: positions are those of the log.
        kept = [stream.fingerprint(index) for index in range(len(stream))]
        places = [place for place, one in enumerate(self._state.experiences) if one.fingerprint in kept]
        first = places[known] if known < len(places) else len(whole)
        for index, one in enumerate(self._state.experiences[:first]):
            if any(member.key in self._here and not self._same(member) for member in one.files):
                return index
            if self._state.late(one):
                return index
        return first

    def _other_classes(self) -> bool:
        given, known = self._source.classes, self._state.contents
        if given is None or known is None:
            return False
        return given != known.classes if isinstance(given, int) else tuple(given) != known.labels

    def _same(self, member: Any) -> bool:
        """Whether a file is known to have the content that was admitted."""
        entry = self._state.files.get(member.key)
        return entry is not None and entry.sha256 == member.sha256 and same_version(entry, self._here[member.key])
