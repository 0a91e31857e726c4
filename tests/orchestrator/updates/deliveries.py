"""Sources and logs in memory: what the pure part of admission is tried with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from orchestrator.lineage.commit import BlobRecord
from orchestrator.updates.admission import Decision, decide
from orchestrator.updates.admission_entries import AdmittedExperience, Member
from orchestrator.updates.admission_record import AdmissionRecord, State
from orchestrator.updates.file_verdict import Found, Look
from pipelines.config.sections.source_section import SourceSpec

NOW = 1_000_000.0
TORN = "torn"


def spec(**options: Any) -> SourceSpec:
    """A source of npz files with four classes, ready at once."""
    given = {"path": "incoming", "format": "npz", "classes": 4, "ready": {"age": "0s"}, **options}
    return SourceSpec.model_validate(given)


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass
class Folder:
    """Files by key: a content, and when it was written. A content is text; what it stands for, `look` says."""

    files: dict[str, tuple[str, float]] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    writes: int = 0

    def put(self, key: str, content: str, modified: float = NOW - 1000) -> None:
        self.writes += 1
        # Each write has a time of its own.
        self.files[key] = (content, modified + self.writes / 1000)

    def listing(self) -> list[Found]:
        return [Found(key, len(text), str(when), when) for key, (text, when) in self.files.items()]

    def look(self, found: Found) -> Look | None:
        self.reads.append(found.key)
        return look_of(self.files[found.key][0])


def look_of(content: str) -> Look:
    """`torn...` cannot be read; `wide...` has another shape; `class7...` has the label 7; `at3...` ends at time 3."""
    if content.startswith(TORN):
        return Look(sha(content), problem="not a readable npz file")
    width = 3 if content.startswith("wide") else 2
    label = int(content[5]) if content.startswith("class") else 0
    time = float(content[2]) if content.startswith("at") else None
    return Look(sha(content), None, 10, (width,), "float32", None, np.array([label, 1]), time)


def record(state: State, decision: Decision) -> AdmissionRecord:
    """The record of a decision; an experience is its contents."""
    experiences = [
        AdmittedExperience(
            serial=state.serials + place,
            files=tuple(Member(key=file.key, sha256=file.sha256) for file in group),
            rows=10 * len(group),
            samples=8 * len(group),
            classes=(0, 1),
            fingerprint="+".join(file.sha256[:8] for file in group),
            test_fingerprint="test",
            test=BlobRecord(sha256=sha(str(state.serials + place)), bytes=1),
        )
        for place, group in enumerate(decision.groups)
    ]
    return AdmissionRecord.create(
        number=state.records,
        previous=state.last,
        at="2026-01-01T00:00:00Z",
        contents=decision.contents,
        files=decision.files,
        experiences=tuple(experiences),
        withdrawn=decision.withdrawn,
    )


@dataclass
class Log:
    """A source, its log, and how many experiences are trained."""

    source: SourceSpec
    folder: Folder = field(default_factory=Folder)
    state: State = field(default_factory=State)
    records: list[AdmissionRecord] = field(default_factory=list)
    trained: int = 0

    def turn(self, now: float = NOW, *, train: bool = True) -> Decision:
        """One step: what was decided at last."""
        while True:
            decision = decide(
                self.folder.listing(), self.state, self.source, now, self.folder.look, trained=self.trained
            )
            if not decision:
                if train and not (decision.stopped or decision.blocked):
                    self.trained = len(self.state.experiences)
                return decision
            self.append(record(self.state, decision))

    def append(self, record: AdmissionRecord) -> None:
        self.records.append(record)
        self.state = self.state.fold([record])

    @property
    def chain(self) -> list[str]:
        return [one.fingerprint for one in self.state.experiences]

    def verdicts(self) -> dict[str, tuple[str, str]]:
        return {key: (file.verdict, file.kind) for key, file in sorted(self.state.files.items())}


def chain_of(contents: Iterable[str]) -> list[str]:
    """The chain of experiences of one file each."""
    return [sha(content)[:8] for content in contents]
