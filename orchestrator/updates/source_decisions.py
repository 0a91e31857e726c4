"""What lies in a source and in its log, for a person, and what a person decides on files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.lineage.claim import claimed
from orchestrator.lineage.decisions import decision_state
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates.admission_entries import AdmittedExperience, FileRecord, Verdict
from orchestrator.updates.admission_log import AdmissionLog
from orchestrator.updates.admission_record import State
from orchestrator.updates.admitted_stream import files_of, source_of
from orchestrator.updates.delayed_labels import is_label_file
from orchestrator.updates.file_verdict import Found, same_version
from orchestrator.updates.run_step import latest_commit, trained_experiences
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from pipelines.config.sections.source_section import seconds_of
from pipelines.config.suggest import did_you_mean
from pipelines.data.datasets.location import natural_order

Action = Literal["admit", "reject", "release"]
_VERDICTS: dict[Action, Verdict] = {"admit": "approved", "reject": "skipped", "release": "released"}
_SAID: dict[Action, str] = {"admit": "admitted", "reject": "rejected", "release": "released"}
_NEVER = ("unreadable", "schema", "new_class", "unchanged")


@dataclass(frozen=True)
class Overview:
    """A source beside its log.

    Attributes:
        pipeline: its name.
        path: of the source.
        experiences: in the order of admission; the first `trained` of them have a commit.
        trained: how many.
        files: the last decision on each file, in natural order.
        gone: keys of files that are not there any more.
        unknown: how many files are there of which nothing was decided in this version: the next step may read them.
        labels: of the classes, in their order; None: they are numbers.
        missing: of files that wait for labels, how many rows have none.
        matures: when they are waited for no longer, in seconds since 1970, by key.
    """

    pipeline: str
    path: str
    experiences: tuple[AdmittedExperience, ...]
    trained: int
    files: tuple[FileRecord, ...]
    gone: frozenset[str]
    unknown: int
    labels: tuple[int | str, ...] | None = None
    missing: Mapping[str, int] = field(default_factory=dict)
    matures: Mapping[str, float] = field(default_factory=dict)

    def of(self, *verdicts: Verdict) -> list[FileRecord]:
        """The files with one of these verdicts that are still there."""
        return [file for file in self.files if file.verdict in verdicts and file.key not in self.gone]

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "path": self.path,
            "trained": self.trained,
            "experiences": [one.model_dump(mode="json", exclude={"test"}) for one in self.experiences],
            "files": [{**file.model_dump(mode="json"), "gone": file.key in self.gone} for file in self.files],
            "counts": dict(sorted(Counter(file.verdict for file in self.files).items())),
            "unknown": self.unknown,
            "waiting": {
                key: {"missing": count, "matures": self.matures.get(key)}
                for key, count in sorted(self.missing.items())
                if key not in self.gone
            },
        }


def overview(pipeline: Pipeline) -> Overview:
    """The source of a pipeline beside its log. Nothing is read but the listing, and nothing is written.

    Raises:
        PipelineError: nothing arrives in this pipeline.
        StorageError: the source or the store cannot be used.
    """
    source = source_of(pipeline)
    if source is None:
        raise PipelineError("stream: nothing arrives here: stream.source says where files arrive")
    from orchestrator.updates.admission import is_data

    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    state = AdmissionLog(lineage).read()
    listed = files_of(pipeline, source).listing(state.files).files
    found = {one.key: one for one in listed if is_data(one.key, source) or is_label_file(one.key)}
    mature = None if source.mature is None else seconds_of(source.mature)
    since = {key: state.files[key].since for key in state.waiting}
    return Overview(
        pipeline.name,
        source.path,
        state.experiences,
        trained_experiences(lineage, state, latest_commit(lineage), decision_state(lineage).bad),
        tuple(sorted(state.files.values(), key=lambda file: natural_order(file.key))),
        frozenset(state.files.keys() - found.keys()),
        sum(_is_new(one, state) for one in found.values()),
        None if state.contents is None else state.contents.labels,
        state.missing,
        {} if mature is None else {key: at + mature for key, at in since.items() if at is not None},
    )


def decide_on(pipeline: Pipeline, action: Action, keys: Sequence[str], reason: str = "") -> list[FileRecord]:
    """Record what a person decides on files; the next step follows it.

    Args:
        action: `admit`: the file becomes the next experience, although it is late, a duplicate or was overwritten;
            `reject`: it is skipped; `release`: it is checked again, such as after the pipeline file was changed.
        keys: of files on which was decided before.
        reason: why, for the log.

    Returns:
        The decisions.

    Raises:
        PipelineError: no such file, or this cannot be decided on it.
        Claimed: another process is working on the pipeline.
    """
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    with claimed(lineage, "run") as claim:
        log = AdmissionLog(lineage.fenced(claim.fence))
        state = log.read()
        decided = tuple(_decided(state, action, key, reason) for key in dict.fromkeys(keys))
        log.append(files=decided)
    return list(decided)


def _decided(state: State, action: Action, key: str, reason: str) -> FileRecord:
    entry = state.files.get(key)
    if entry is None:
        close = did_you_mean(key, list(state.files))
        hint = f", did you mean '{close}'?" if close else ": `everlearn sources FILE` lists the files"
        raise PipelineError(f"{key}: nothing was decided on such a file{hint}")
    if entry.verdict == "admitted":
        raise PipelineError(f"{key}: is part of an experience, which stays what it is")
    if entry.verdict == "joined":
        raise PipelineError(f"{key}: its labels are joined, which stays so")
    if action == "admit" and entry.kind in _NEVER:
        raise PipelineError(f"{key}: cannot be admitted: {entry.reason}. Deliver it again as it should be")
    why = f": {reason}" if reason else f" (it was {entry.verdict}: {entry.reason})" if entry.reason else ""
    text = f"{_SAID[action]} by a person{why}"[:1000]
    return entry.model_copy(update={"verdict": _VERDICTS[action], "reason": text})


def _is_new(found: Found, state: State) -> bool:
    entry = state.files.get(found.key)
    return entry is None or not same_version(entry, found) or entry.verdict in ("approved", "released")
