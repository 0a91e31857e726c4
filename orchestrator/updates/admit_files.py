"""Admitting what is new: read it once, keep its test sets, and write the log, under the claim."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from orchestrator.lineage.commit import BlobRecord
from orchestrator.lineage.forgotten_ids import Tombstones, read_tombstones
from orchestrator.storage.tensors import encode
from orchestrator.updates.admission import Decision, decide
from orchestrator.updates.admission_entries import AdmittedExperience, FileRecord, Member, SchemaRecord
from orchestrator.updates.delayed_labels import is_label_file
from orchestrator.updates.file_verdict import Found, Look, labels_of
from orchestrator.updates.label_blobs import Given, StoredJoins, write_pairs
from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arriving_files import ArrivingFiles
from pipelines.data.datasets.arriving_labels import read_labels
from pipelines.data.fingerprint import fingerprint

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.admission_log import AdmissionLog
    from orchestrator.updates.admission_record import State
    from orchestrator.updates.source_files import SourceFiles
    from orchestrator.updates.source_listing import Listing
    from pipelines.config.sections.source_section import SourceSpec
    from pipelines.data.samples import TensorSamples

_KEPT_BYTES = 256 * 2**20
"""Bytes of files that are kept from looking at them until their experience is made."""


class Admission:
    """Decides on one listing of a source, and writes what was decided.

    Attributes:
        reads: how many files were read.
    """

    def __init__(self, source: SourceSpec, files: SourceFiles, listing: Listing, seed: int = 0) -> None:
        """
        Args:
            seed: of the comparison of files that wait for labels.
        """
        self._source, self._files, self._listing, self._seed = source, files, listing, seed
        self._reader = ArrivingFiles(source)
        self._looks: dict[tuple[str, str], Look | None] = {}
        self._data: dict[str, bytes] = {}
        self._read_of: dict[str, Look] = {}
        self.reads = 0

    def decide(self, log: AdmissionLog, trained: int) -> Decision:
        """What is to be added to the log, as `orchestrator.updates.admission.decide` says."""
        listing, joins = self._listing, self.joins(log.lineage, log.state)
        return decide(listing.files, log.state, self._source, listing.now, self.look, trained=trained, joins=joins)

    def write(self, lineage: Lineage, log: AdmissionLog, decision: Decision) -> list[FileRecord]:
        """Write the test sets of new experiences, and then the record that names them.

        Args:
            lineage: under the claim.

        Returns:
            What was decided of files.

        Raises:
            ClaimLost: no record is written.
        """
        contents = decision.contents or log.state.contents
        late = self._source.mature is not None
        tombstones = read_tombstones(lineage) if decision.groups or late else Tombstones()
        joins = self.joins(lineage, log.state)
        files = {file.key: joins.keep(lineage, file, tombstones) for file in decision.files}
        labels = (*log.state.open, *(file for file in files.values() if file.verdict == "joined"))
        experiences: list[AdmittedExperience] = []
        for group in decision.groups:
            assert contents is not None
            data = [self._content(file) for file in group]
            if any(one is None for one in data):
                continue  # a file changed meanwhile: the next step sees it
            serial = log.state.serials + len(experiences)
            read = [(file.key, one) for file, one in zip(group, data, strict=True) if one is not None]
            try:
                given = joins.given(group, labels, tombstones) if late else None
                experiences.append(self.experience(lineage, group, read, contents, serial, tombstones, given))
            except DataError as error:
                for file in group:
                    update: dict[str, Any] = {"verdict": "quarantined", "kind": "unreadable"}
                    update |= {"reason": str(error)[:1000], "blob": None, "missing": None, "drift": None}
                    files[file.key] = file.model_copy(update=update)
        if late and contents is not None:
            kept = [one for one in log.state.experiences if one.serial not in decision.withdrawn]
            done = {file.key for group in decision.groups for file in group}
            waiting = [file for file in files.values() if file.verdict == "waiting" and file.key not in done]
            files |= self._compared(lineage, log.state, [*kept, *experiences], waiting, contents.classes)
        fields: dict[str, Any] = {
            "contents": decision.contents,
            "files": tuple(files.values()),
            "experiences": tuple(experiences),
            "withdrawn": decision.withdrawn,
            "missing": dict(decision.missing),
            "closed": decision.closed,
        }
        if any(fields.values()):
            log.append(**fields)
        return list(files.values())

    def _compared(
        self,
        lineage: Lineage,
        state: State,
        experiences: Sequence[AdmittedExperience],
        waiting: Sequence[FileRecord],
        classes: int,
    ) -> dict[str, FileRecord]:
        """Files that wait for labels from now on, with how their inputs differ from the last experiences, by key."""
        if not experiences or not waiting:
            return {}
        from orchestrator.updates.waiting_drift import input_drift, last_tests

        history = last_tests(lineage, state, experiences)
        found: dict[str, FileRecord] = {}
        for file in waiting if history else ():
            data = self._content(file, keep=True)
            if data is not None:
                drift = input_drift(history, self._reader.inputs(file.key, data), classes, self._seed)
                found[file.key] = file.model_copy(update={"drift": drift})
        return found

    def experience(
        self,
        lineage: Lineage,
        group: tuple[FileRecord, ...],
        read: list[tuple[str, bytes]],
        contents: SchemaRecord,
        serial: int,
        tombstones: Tombstones,
        given: Given | None = None,
    ) -> AdmittedExperience:
        """The experience of these files, whose test set is in the store then.

        Args:
            given: where labels come later: the ids of all rows, the labels that there are, and where they come from.

        Raises:
            DataError: the files cannot be learned from together.
        """
        joined: dict[str, Any] = {}
        if given is not None:
            ids, table, members = given
            numbers = np.array([table.get(id_, -1) for id_ in ids.tolist()], dtype=np.int64)
            joined = {
                "since": max(file.since for file in group if file.since is not None),
                "labels": write_pairs(lineage, ids, numbers, tombstones),
                "labelled": members,
                "unlabelled": int((numbers < 0).sum()),
            }
        train, test = self._reader.samples(read, labels_of(contents), serial, None if given is None else given[1])
        whole = sorted({*train.targets.unique().tolist(), *test.targets.unique().tolist()})
        test = _without(test, tombstones)
        data = encode({"inputs": test.take(torch.arange(len(test)))[0], "targets": test.targets, "ids": test.ids})
        return AdmittedExperience(
            serial=serial,
            files=tuple(Member(key=file.key, sha256=file.sha256) for file in group),
            rows=sum(file.rows or 0 for file in group),
            samples=len(train),
            classes=tuple(whole),
            fingerprint=fingerprint(train, None),
            test_fingerprint=fingerprint(test, None),
            test=BlobRecord(sha256=lineage.put_blob(data), bytes=len(data)),
            **joined,
        )

    def joins(self, lineage: Lineage, state: State) -> StoredJoins:
        """What was read of files whose labels come later, now or before."""
        return StoredJoins(self._source, lineage, state, self._read_of)

    def look(self, found: Found) -> Look | None:
        """What a file holds, read once for each version; None: it is being written, or gone."""
        place = (found.key, found.version)
        if place not in self._looks:
            self._looks[place] = self._read(found)
        return self._looks[place]

    def _read(self, found: Found) -> Look | None:
        data = self._files.read(found)
        self.reads += 1
        if data is None:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        labels = is_label_file(found.key)
        try:
            said = read_labels(self._source, found.key, data) if labels else None
            held = None if labels else self._reader.contents(found.key, data)
        except MemoryError:
            raise
        except Exception as error:
            # What reads a file of somebody else's may raise anything over a torn one.
            text = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
            return Look(sha256, problem=" ".join(text.split())[:1000] or type(error).__name__)
        if said is not None:
            look = Look(sha256, None, said.rows, labels=said.labels, ids=said.ids)
            self._read_of[sha256] = look
            return look
        assert held is not None
        if sum(map(len, self._data.values())) + len(data) <= _KEPT_BYTES:
            self._data[sha256] = data
        look = Look(sha256, None, held.rows, held.shape, held.dtype, held.names, held.labels, held.time, held.ids)
        if held.ids is not None:
            self._read_of[sha256] = look
        return look

    def content(self, file: FileRecord) -> bytes:
        """The bytes of a file as it was decided on. Raises DataError: it has changed since."""
        data = self._content(file)
        if data is None:
            raise DataError(f"{file.key}: was changed meanwhile. Run again")
        return data

    def _content(self, file: FileRecord, *, keep: bool = False) -> bytes | None:
        """The bytes of a file as it was decided on; None: it has changed since.

        Args:
            keep: they are asked for again.
        """
        data = self._data.get(file.sha256) if keep else self._data.pop(file.sha256, None)
        if data is None:
            self.reads += 1
            data = self._files.read(Found(file.key, file.size, file.version, 0.0))
        return data if data is not None and hashlib.sha256(data).hexdigest() == file.sha256 else None


def _without(samples: TensorSamples, tombstones: Tombstones) -> TensorSamples:
    """The samples that are not to be forgotten."""
    found = tombstones.among(samples.ids.tolist())
    if not found:
        return samples
    kept = ~torch.isin(samples.ids, torch.tensor(found))
    return samples.subset(torch.nonzero(kept).flatten())
