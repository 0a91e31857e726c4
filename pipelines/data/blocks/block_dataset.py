"""Datasets of files that are read by blocks: one that is split by class, or experiences of one or many files each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_index import BlockIndex, IndexedFile, IndexStore
from pipelines.data.blocks.block_reader import BlockReader
from pipelines.data.blocks.block_samples import BlockSamples, Part
from pipelines.data.blocks.block_source import BlockSource
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.divided_rows import DividedReader
from pipelines.data.datasets.image_layout import layout_warnings
from pipelines.data.datasets.labels import LabelMap, label_map
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.experience_samples import ID_BITS

ONE_CLASS = 0.9
"""A block of which one class has a larger share teaches little beside itself, where others have other classes."""

ENOUGH = 3
"""Blocks of each class in a window, so that most batches have all classes."""


def load_blocks(
    name: str, reader: BlockReader, options: TableFiles, store: IndexStore | None
) -> Dataset | ExperienceDataset:
    """The dataset that the options describe, of samples that are read when they are needed.

    A folder of folders has an experience in each of them, of all its files.

    Args:
        name: for messages.
        store: keeps the index; None: it is made anew.

    Raises:
        DataError: files are missing or do not fit.
    """
    form = "id_hash" if options.id_hash is not None else ""
    if isinstance(options.reader, DividedReader):
        form = "column" if options.reader.part.column is not None else "time"
    if form:
        raise DataError(f"stream.lanes: in lanes each class is held out by itself: leave out dataset.test.{form}")
    index = BlockIndex(reader, store)
    train = experience_files(options.path, reader.suffix)
    tests = None if options.test is None else experience_files(options.test, reader.suffix)
    if isinstance(train, Location):
        if tests is not None and not isinstance(tests, Location):
            raise DataError(f"{options.test}: dataset.test is a folder, but dataset.path is a file: name a file")
        return _single(name, reader, options, index, train, tests)
    if isinstance(tests, Location):
        raise DataError(f"{tests.path}: dataset.test is a file, but dataset.path a folder: name a folder like it")
    if tests is not None:
        missing = [place.name for place in train if place.name not in {one.name for one in tests}]
        if missing:
            raise DataError(f"{options.test}: has no test file for {', '.join(missing[:5])}")
    return BlockExperiences(name, reader, options, index, train, tests)


def experience_files(path: Location, suffix: str | tuple[str, ...]) -> Location | dict[Location, list[Location]]:
    """The file, or for each experience its place with its files, in natural order."""
    if not path.is_folder():
        return path
    folders = path.folders()
    if not folders:
        return {file: [file] for file in path.files(suffix)}
    return {folder: folder.files(suffix) for folder in folders}


class BlockExperiences(ExperienceDataset):
    """A folder with a file, or a folder of files, for each experience.

    Rows without ids get the id (number of the experience << 40) | row, counted through its files.
    """

    def __init__(
        self,
        name: str,
        reader: BlockReader,
        options: TableFiles,
        index: BlockIndex,
        train: dict[Location, list[Location]],
        tests: dict[Location, list[Location]] | None,
    ) -> None:
        self.name = name
        self._places = [place.path for place in train]
        self._fraction = options.test_fraction if tests is None else 0.0
        named = {} if tests is None else {place.name: files for place, files in tests.items()}
        apart = [named[place.name] for place in train] if tests is not None else []
        every = [one for files in train.values() for one in files]
        indexed = dict(zip(every, index.files(every), strict=True))
        of_tests = [one for files in apart for one in files]
        indexed_tests = dict(zip(of_tests, index.files(of_tests), strict=True))
        counted = indexed if options.from_training else indexed | indexed_tests
        labels = _label_map(options, list(counted.values()))
        self.classes, self.class_names = labels.count, labels.names
        self._train = [
            BlockSource(reader, options, [indexed[one] for one in files], labels, index, number << ID_BITS)
            for number, files in enumerate(train.values())
        ]
        self._tests = [
            BlockSource(reader, options, [indexed_tests[one] for one in files], labels, index) for files in apart
        ]
        kind = self._train[0].input_kind
        for source in [*self._train, *self._tests]:
            source.kind = kind
        self.input_shape = kind.shape
        self.warnings = (
            *labels.warnings,
            *layout_warnings(name, self.input_shape),
            *sorted_warnings(self._train, self._places),
        )
        self._made: dict[tuple[int, bool], BlockSamples] = {}

    def __len__(self) -> int:
        return len(self._train)

    def train(self, index: int) -> BlockSamples:
        return self._samples(index, test=False)

    def test(self, index: int) -> BlockSamples:
        return self._samples(index, test=True)

    def _samples(self, index: int, test: bool) -> BlockSamples:
        if (index, test) not in self._made:
            if self._tests:
                self._made[index, test] = BlockSamples((self._tests if test else self._train)[index])
            else:
                part: Part = "test" if test else "train"
                self._made[index, test] = BlockSamples(self._train[index], part, self._fraction)
        return self._made[index, test]

    def classes_of(self, index: int) -> tuple[int, ...]:
        counts = self._train[index].counts.any(axis=0)
        if self._tests:
            counts = counts | self._tests[index].counts.any(axis=0)
        return tuple(np.flatnonzero(counts).tolist())

    def source(self, index: int) -> str:
        return self._places[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}


def _single(
    name: str,
    reader: BlockReader,
    options: TableFiles,
    index: BlockIndex,
    file: Location,
    test: Location | None,
) -> Dataset:
    files = index.files([file] if test is None else [file, test])
    labels = _label_map(options, files[:1] if options.from_training else files)
    source = BlockSource(reader, options, files[:1], labels, index)
    kind = source.input_kind
    if test is None:
        train = BlockSamples(source, "train", options.test_fraction)
        held_out = BlockSamples(source, "test", options.test_fraction)
    else:
        other = BlockSource(reader, options, files[1:], labels, index)
        other.kind = kind
        train, held_out = BlockSamples(source), BlockSamples(other)
    warnings = (*labels.warnings, *layout_warnings(name, kind.shape))
    return Dataset(name, train, held_out, labels.count, labels.names, warnings)


def _label_map(options: TableFiles, files: Sequence[IndexedFile]) -> LabelMap:
    found = ((np.array(file.labels), file.location.path) for file in files)
    return label_map(options.classes, found, sparse=options.from_training)


def sorted_warnings(sources: Sequence[BlockSource], places: Sequence[str]) -> list[str]:
    """What to do where the rows of an experience are sorted by class, so that a batch has few classes of it."""
    found = []
    for source, place in zip(sources, places, strict=True):
        counts = source.counts.astype(np.int64)
        rows, total = counts.sum(axis=1), counts.sum(axis=0)
        alone = rows[counts.max(axis=1) > ONE_CLASS * rows].sum() / max(1, rows.sum())
        if len(rows) > 1 and alone > 0.5 and total.max() <= ONE_CLASS * total.sum():
            enough = ENOUGH * int((total > 0).sum())
            found.append(
                f"{place}: {alone:.0%} of the rows lie in blocks of nearly one class: the file is sorted. Batches mix "
                f"stream.lanes * stream.window blocks: make that {enough} at least, so that they are {ENOUGH} of each "
                "class, or rewrite parquet by `everlearn shuffle`"
            )
    return found
