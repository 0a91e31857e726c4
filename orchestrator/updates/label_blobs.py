"""Ids and labels that wait to be joined, as blobs of the store: what was read of a file stays what it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from orchestrator.lineage.commit import BlobRecord
from orchestrator.storage.tensors import encode
from orchestrator.updates.admission_entries import AdmittedExperience, FileRecord, Member
from orchestrator.updates.delayed_labels import Numbers, Pairs, class_numbers, newest_labels

if TYPE_CHECKING:
    from orchestrator.lineage.forgotten_ids import Tombstones
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.admission_record import State
    from orchestrator.updates.file_verdict import Look
    from pipelines.config.sections.source_section import SourceSpec


Given = tuple[Numbers, dict[int, int], tuple[Member, ...]]
"""The ids of all rows of an experience, the class numbers of those that have a label, and where they come from."""


class StoredJoins:
    """What was read of files whose labels come later: in this step, or before from the store.

    A `orchestrator.updates.delayed_labels.Joins`. Raises StorageError: a blob is missing; damaged, it is a CorruptBlob.
    """

    def __init__(self, source: SourceSpec, lineage: Lineage, state: State, looks: Mapping[str, Look]) -> None:
        """
        Args:
            looks: what was read in this step, by the SHA-256 of the content.
        """
        self._source, self._lineage, self._state, self._looks = source, lineage, state, looks
        self._read: dict[str, Pairs] = {}

    def ids(self, file: FileRecord) -> Numbers:
        look = self._looks.get(file.sha256)
        if look is not None and look.ids is not None:
            return look.ids
        return np.zeros(0, dtype=np.int64) if file.blob is None else self._pairs(file.blob)[0]

    def labels(self, file: FileRecord) -> Pairs:
        look = self._looks.get(file.sha256)
        if look is not None and look.ids is not None:
            return class_numbers(self._source, file.key, look)
        assert file.blob is not None
        return self._pairs(file.blob)

    def learned(self, experience: AdmittedExperience) -> Pairs:
        assert experience.labels is not None
        return self._pairs(experience.labels)

    def _pairs(self, blob: BlobRecord) -> Pairs:
        sha256 = self._state.now(blob).sha256
        if sha256 not in self._read:
            self._read[sha256] = read_pairs(self._lineage, sha256)
        return self._read[sha256]

    def keep(self, lineage: Lineage, file: FileRecord, tombstones: Tombstones) -> FileRecord:
        """The record of a file that waits, or whose labels count, with what was read of it in the store.

        Args:
            lineage: under the claim.
            tombstones: ids that are not to be kept.
        """
        if file.since is None or file.verdict not in ("waiting", "joined"):
            return file
        ids, numbers = self.labels(file) if file.verdict == "joined" else (self.ids(file), None)
        return file.model_copy(update={"blob": write_pairs(lineage, ids, numbers, tombstones)})

    def given_again(
        self, group: Sequence[FileRecord], experience: AdmittedExperience, tombstones: Tombstones
    ) -> Given | None:
        """As `given`, for an experience that is made again: its labels, and those that came too late for it.

        None: the experience was made when files held their labels.
        """
        if experience.labels is None:
            return None
        late = self._state.late(experience)
        ids, table, members = self.given(group, late, tombstones)
        pairs = zip(*(part.tolist() for part in self.learned(experience)), strict=True)
        old = {id_: number for id_, number in pairs if number >= 0}
        known = experience.labelled or ()
        return ids, {**old, **table}, (*known, *(member for member in members if member not in known))

    def given(self, group: Sequence[FileRecord], labels: Sequence[FileRecord], tombstones: Tombstones) -> Given:
        """The ids of the rows of files, those of them that have a label with it, and the files of labels that say so.

        Args:
            labels: the files of labels, the newest last.
        """
        ids = np.concatenate([self.ids(file) for file in group])
        forgotten = tombstones.among(ids.tolist())
        ids = ids[~np.isin(ids, np.array(forgotten, dtype=np.int64))]
        mine = set(ids.tolist())
        table = {id_: number for id_, number in newest_labels(self, labels).items() if id_ in mine}
        used = [file for file in labels if not mine.isdisjoint(self.labels(file)[0].tolist())]
        members = dict.fromkeys(Member(key=file.key, sha256=file.sha256) for file in used)
        return ids, table, tuple(members)


def read_pairs(lineage: Lineage, sha256: str) -> Pairs:
    """Ids and class numbers as they were written; -1 where there are none. Raises StorageError."""
    tensors = lineage.tensors(sha256)
    ids: Numbers = tensors["ids"].numpy()
    numbers: Numbers = tensors["targets"].numpy() if "targets" in tensors else np.full(len(ids), -1, dtype=np.int64)
    return ids, numbers


def write_pairs(lineage: Lineage, ids: Numbers, numbers: Numbers | None, tombstones: Tombstones) -> BlobRecord:
    """Keep ids, and their class numbers; those that are to be forgotten are left out."""
    kept = ~np.isin(ids, np.array(tombstones.among(ids.tolist()), dtype=np.int64))
    tensors = {"ids": torch.from_numpy(ids[kept].copy())}
    if numbers is not None:
        tensors["targets"] = torch.from_numpy(numbers[kept].copy())
    data = encode(tensors)
    return BlobRecord(sha256=lineage.put_blob(data), bytes=len(data))
