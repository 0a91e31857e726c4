"""Sources whose labels come later, in memory: inputs and labels as text that says what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.lineage.commit import BlobRecord
from orchestrator.updates.admission import Decision, decide
from orchestrator.updates.admission_entries import AdmittedExperience, FileRecord, Member
from orchestrator.updates.admission_record import AdmissionRecord
from orchestrator.updates.delayed_labels import LABELS, Numbers, Pairs, newest_labels
from orchestrator.updates.file_verdict import Found, Look
from tests.orchestrator.updates.deliveries import NOW, TORN, Folder, Log, look_of, sha, spec

DAY = 86400.0


def delayed(**options: Any) -> DelayedLog:
    """A log of a source whose labels are waited for 7 days."""
    return DelayedLog(spec(**{"id": "key", "mature": "7d", "labels": "labels", **options}))


def numbers_of(content: str) -> list[int]:
    """`0 1 2`: the ids of a file of inputs; `wide 0 1` has another shape."""
    return [int(word) for word in content.removeprefix("wide").split()]


def pairs_of(content: str) -> dict[int, int]:
    """`0=1 1=3`: a file of labels."""
    return {int(id_): int(label) for id_, label in (word.split("=") for word in content.split())}


def look_at(found_key: str, content: str) -> Look:
    if content.startswith(TORN):
        return look_of(content)
    if found_key.startswith(LABELS):
        pairs = pairs_of(content)
        return Look(sha(content), None, len(pairs), labels=np.array([*pairs.values()]), ids=np.array([*pairs]))
    ids = np.array(numbers_of(content))
    width = 3 if content.startswith("wide") else 2
    return Look(sha(content), None, len(ids), (width,), "float32", None, np.zeros(0, int), None, ids)


@dataclass
class DelayedLog(Log):
    """What each file held is known by its hash, as it is in the store."""

    def __post_init__(self) -> None:
        self.contents: dict[str, str] = {}
        self.blobs: dict[str, dict[int, int]] = {}

    def put(self, key: str, content: str, modified: float = NOW - 1000) -> None:
        self.folder.put(key, content, modified)

    def ids(self, file: FileRecord) -> Numbers:
        return np.array(numbers_of(self.contents[file.sha256]))

    def labels(self, file: FileRecord) -> Pairs:
        pairs = pairs_of(self.contents[file.sha256])
        return np.array([*pairs]), np.array([*pairs.values()])

    def learned(self, experience: AdmittedExperience) -> Pairs:
        pairs = self.blobs[experience.fingerprint]
        return np.array([*pairs]), np.array([*pairs.values()])

    def look(self, found: Found) -> Look | None:
        content = self.folder.files[found.key][0]
        self.folder.reads.append(found.key)
        self.contents[sha(content)] = content
        return look_at(found.key, content)

    def turn(self, now: float = NOW, *, train: bool = True) -> Decision:
        while True:
            decision = decide(
                self.folder.listing(), self.state, self.source, now, self.look, trained=self.trained, joins=self
            )
            if not decision:
                if train and not (decision.stopped or decision.blocked):
                    self.trained = len(self.state.experiences)
                return decision
            self.append(self._record(decision))

    def _record(self, decision: Decision) -> AdmissionRecord:
        joined = [*self.state.open, *(file for file in decision.files if file.verdict == "joined")]
        table = newest_labels(self, joined)
        experiences = []
        for place, group in enumerate(decision.groups):
            rows = [id_ for file in group for id_ in self.ids(file).tolist()]
            given = {id_: table.get(id_, -1) for id_ in rows}
            experiences.append(self._experience(self.state.serials + place, group, given))
        return AdmissionRecord.create(
            number=self.state.records,
            previous=self.state.last,
            at="2026-01-01T00:00:00Z",
            contents=decision.contents,
            files=decision.files,
            experiences=tuple(experiences),
            withdrawn=decision.withdrawn,
            missing=dict(decision.missing),
            closed=decision.closed,
        )

    def _experience(self, serial: int, group: Sequence[FileRecord], given: dict[int, int]) -> AdmittedExperience:
        fingerprint = " ".join(f"{id_}={number}" for id_, number in given.items())
        self.blobs[fingerprint] = given
        return AdmittedExperience(
            serial=serial,
            files=tuple(Member(key=file.key, sha256=file.sha256) for file in group),
            rows=len(given),
            samples=len(given),
            classes=(0, 1),
            fingerprint=fingerprint,
            test_fingerprint="test",
            test=BlobRecord(sha256=sha(str(serial)), bytes=1),
            since=max(file.since for file in group if file.since is not None),
            labels=BlobRecord(sha256=sha(fingerprint), bytes=1),
            unlabelled=sum(number < 0 for number in given.values()),
        )


__all__ = ["DAY", "DelayedLog", "Folder", "delayed", "look_at", "numbers_of", "pairs_of"]
