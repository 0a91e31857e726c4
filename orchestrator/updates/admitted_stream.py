"""The stream that an admission log describes: each experience is what its record says, whatever the folder holds now.

The test set of an experience lies in the store, as it was when the experience was admitted. Its training set is read
from the source when it is trained, and must have the content that was admitted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StorageError
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.stored_index import StoredIndex
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates.admission_entries import AdmittedExperience
from orchestrator.updates.admission_log import read_admissions
from orchestrator.updates.admission_record import State
from orchestrator.updates.file_verdict import labels_of
from orchestrator.updates.label_blobs import read_pairs
from orchestrator.updates.source_files import FilesAndLabels, SourceFiles, open_source
from pipelines.build import make_stream
from pipelines.capabilities.read_capabilities import with_capabilities
from pipelines.config.components import resolve
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.config.sections.source_section import MESSAGES, SUFFIXES, SourceSpec, seconds_of
from pipelines.data.datasets.arriving_files import ArrivingFiles
from pipelines.data.fingerprint import fingerprint
from pipelines.data.samples import StoredSamples, TensorSamples
from pipelines.data.streams import Stream

if TYPE_CHECKING:
    from orchestrator.lineage.commit import BlobRecord
    from pipelines.config.schema import Pipeline
    from pipelines.data.blocks.index_executor import Executor

_KEPT_BYTES = 64 * 2**20
"""Bytes of test sets that are kept in memory, so that not every evaluation has to read them again."""


def stream_of(pipeline: Pipeline, executor: Executor | None = None) -> Stream:
    """The stream of a pipeline: what was admitted, where there is an admission log, else what its dataset holds.

    Args:
        executor: looks at the files of a stream in lanes that are new, now and when fingerprints are asked for; None:
            this process does.

    Raises:
        PipelineError, DataError: the data is missing or does not fit; a source of which nothing was admitted yet.
        StorageError: the log cannot be read.
    """
    source = source_of(pipeline)
    if source is not None:
        state = read_admissions(Lineage(open_store(pipeline.storage), pipeline.name))
        if state is not None and state.experiences:
            return admitted_stream(pipeline, source, state)
        if pipeline.stream.source is not None:
            if state is not None and state.waiting:
                raise PipelineError(
                    "stream.source: there is no experience yet: the files that were admitted wait for labels, or for "
                    "more files: see `everlearn sources FILE`"
                )
            raise PipelineError("stream.source: nothing was admitted yet: `everlearn step FILE` admits what is there")
    if pipeline.stream.lanes is None:
        return make_stream(pipeline)
    return make_stream(pipeline, StoredIndex(open_store(pipeline.storage), pipeline.name, executor))


def source_of(pipeline: Pipeline) -> SourceSpec | None:
    """Where the pipeline's files arrive: its source, or a dataset of files as one; None: it has no files to arrive.

    Raises:
        PipelineError: a source for an objective without classes.
    """
    stream = pipeline.stream
    if stream.source is not None:
        if resolve("objectives", pipeline.objective.name).targets != "classes":
            raise PipelineError(
                f"stream.source: objective {pipeline.objective.name} has no classes: a source learns classes only. "
                "Use stream.dataset with a folder of files"
            )
        return stream.source
    options: dict[str, Any] = {key: value for key, value in stream.dataset.options.items() if value is not None}
    apart = stream.experiences is not None or stream.order != "natural" or stream.transform is not None or stream.blurry
    strange = options.keys() - (SourceSpec.model_fields.keys() - {"test"}) or not isinstance(
        options.get("label", ""), str
    )
    if stream.dataset.name not in SUFFIXES or strange or apart or stream.lanes is not None:
        return None
    if resolve("objectives", pipeline.objective.name).targets != "classes":
        return None
    return SourceSpec.model_validate({**options, "format": stream.dataset.name})


def files_of(pipeline: Pipeline, source: SourceSpec) -> SourceFiles:
    """The files of a source; those of a dataset lie in its folder itself, not in folders below it."""
    messages = MESSAGES if source.messages is None else source.messages
    linger = None if source.linger is None else seconds_of(source.linger)
    nested = pipeline.stream.source is not None
    inputs = open_source(source.path, recursive=nested, messages=messages, linger=linger)
    return inputs if source.labels is None else FilesAndLabels(inputs, open_source(source.labels))


def admitted_stream(pipeline: Pipeline, source: SourceSpec, state: State) -> Stream:
    """The stream of the experiences of a log. No data is read."""
    assert state.contents is not None
    labels = labels_of(state.contents)
    files = _Files(source, files_of(pipeline, source), state, pipeline.storage, pipeline.name)
    masked = pipeline.stream.setting == "task-incremental"
    parts = {i: AdmittedPart(files, one, masked) for i, one in enumerate(state.experiences)}
    found = {i: values for i, one in enumerate(state.experiences) if (values := state.settings_of(one)) is not None}
    prints: dict[tuple[int, bool], str] = {}
    for index, one in enumerate(state.experiences):
        prints[index, False], prints[index, True] = one.fingerprint, one.test_fingerprint
    stream = Stream(
        parts,
        setting=pipeline.stream.setting,
        outputs=labels.count,
        input_shape=state.contents.shape,
        fingerprints=prints,
        settings=found,
        column_names=state.contents.names,
        class_names=labels.names,
        unit_names=labels.names if labels.names is not None and len(labels.names) == labels.count else None,
    )
    return with_capabilities(pipeline, stream)


@dataclass(frozen=True, eq=False)
class AdmittedPart:
    """One experience of a log. A `pipelines.data.experience_samples.Part`."""

    files: _Files
    experience: AdmittedExperience
    masked: bool
    transform: None = None

    @property
    def classes(self) -> tuple[int, ...]:
        return self.experience.classes

    @property
    def outputs(self) -> tuple[int, ...] | None:
        return self.classes if self.masked else None

    @property
    def domain(self) -> str:
        """Its first file, and its last one, without their suffixes."""
        names = [PurePosixPath(member.key).name.partition(".")[0] for member in self.experience.files]
        return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"

    def train(self) -> StoredSamples:
        return self.files.train(self.experience)

    def test(self) -> StoredSamples:
        return self.files.test(self.experience)


class _Files:
    """The samples of a log's experiences. Can be pickled: a worker opens its own store and source."""

    def __init__(self, source: SourceSpec, files: SourceFiles, state: State, storage: str, pipeline: str) -> None:
        assert state.contents is not None
        self._source, self._files, self._storage, self._pipeline = source, files, storage, pipeline
        self._labels = labels_of(state.contents)
        self._tests: dict[int, BlobRecord] = {one.serial: state.test_blob(one) for one in state.experiences}
        given = {one.serial: one.labels for one in state.experiences if one.labels is not None}
        self._given: dict[int, BlobRecord] = {serial: state.now(blob) for serial, blob in given.items()}
        self._last: tuple[int, TensorSamples] | None = None
        self._kept: dict[int, TensorSamples] = {}
        self._kept_bytes = 0

    def train(self, experience: AdmittedExperience) -> TensorSamples:
        """The training set; the last one is kept.

        Raises:
            DataError: a file is gone, has another content, or is read in another way than when it was admitted.
        """
        if self._last is None or self._last[0] != experience.serial:
            self._last = None
            read = [(member.key, self._content(member.key, member.sha256)) for member in experience.files]
            given = self._given.get(experience.serial)
            # Whether labels came later is a matter of the experience: the pipeline file may say otherwise now.
            source = self._source.model_copy(update={"mature": None if given is None else "1d"})
            joined = None if given is None else self._joined(given)
            samples, _ = ArrivingFiles(source).samples(read, self._labels, experience.serial, joined)
            # Of labels that were forgotten there is no fingerprint; files and labels have the hashes of the record.
            if given == experience.labels and fingerprint(samples, None) != experience.fingerprint:
                raise DataError(
                    f"{experience.files[0].key}: is read in another way than when it was admitted: stream.source has "
                    "other options now. Set them back, or train the past again: everlearn backfill"
                )
            self._last = (experience.serial, samples)
        return self._last[1]

    def test(self, experience: AdmittedExperience) -> TensorSamples:
        """The test set, from the store; kept in memory while all kept ones are small. Raises StorageError."""
        if experience.serial not in self._kept:
            samples, size = self._read_test(experience), self._tests[experience.serial].bytes
            if self._kept_bytes + size > _KEPT_BYTES:
                return samples
            self._kept[experience.serial], self._kept_bytes = samples, self._kept_bytes + size
        return self._kept[experience.serial]

    def _joined(self, given: BlobRecord) -> dict[int, int]:
        """The class number of each id that has one. Raises StorageError."""
        ids, numbers = read_pairs(Lineage(open_store(self._storage), self._pipeline), given.sha256)
        pairs = zip(ids.tolist(), numbers.tolist(), strict=True)
        return {id_: number for id_, number in pairs if number >= 0}

    def _read_test(self, experience: AdmittedExperience) -> TensorSamples:
        lineage = Lineage(open_store(self._storage), self._pipeline)
        tensors = lineage.tensors(self._tests[experience.serial].sha256)
        try:
            return TensorSamples(tensors["inputs"], tensors["targets"], tensors["ids"])
        except (KeyError, DataError) as error:
            raise StorageError(
                f"the test set of {experience.files[0].key} is damaged: {error}.\nRestore it from a copy of the storage"
            ) from None

    def _content(self, key: str, sha256: str) -> bytes:
        data = self._files.read_key(key)
        where = f"{self._source.path.rstrip('/')}/{key}"
        if data is None:
            raise DataError(f"{where}: was admitted, and is gone: it is needed to train. Restore it")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"{where}: has another content than when it was admitted. Restore it to train from it")
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None, "_kept": {}, "_kept_bytes": 0}
