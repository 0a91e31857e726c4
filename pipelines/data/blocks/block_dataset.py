"""Datasets of files that are read by blocks: one that is split by class, or experiences of files or groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_index import BlockIndex, IndexedFile, IndexStore
from pipelines.data.blocks.block_reader import BlockReader
from pipelines.data.blocks.block_samples import BlockSamples, Part
from pipelines.data.blocks.block_source import BlockSource
from pipelines.data.blocks.fit_features import fit_features
from pipelines.data.datasets.arrow_columns import SIDES
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.divided_rows import DividedReader
from pipelines.data.datasets.grouped_rows import ascending
from pipelines.data.datasets.image_layout import layout_warnings
from pipelines.data.datasets.label_columns import LabelColumns, TokenColumns, label_columns
from pipelines.data.datasets.labels import LabelMap, label_map
from pipelines.data.datasets.location import Location, states
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.experience_samples import ID_BITS

ONE_CLASS = 0.9
"""A block of which one class has a larger share teaches little beside itself, where others have other classes."""

ENOUGH = 3
"""Blocks of each class in a window, so that most batches have all classes."""


def load_blocks(
    name: str, reader: BlockReader, options: TableFiles, store: IndexStore | None, *, sides: bool = False
) -> Dataset | ExperienceDataset:
    """The dataset that the options describe, of samples that are read when they are needed.

    A folder of folders has an experience in each of them, of all its files.

    Args:
        name: for messages.
        store: keeps the index; None: it is made anew.
        sides: the groups of the rows are their `SIDES`.

    Raises:
        DataError: files are missing or do not fit.
    """
    form = "id_hash" if options.id_hash is not None else ""
    if isinstance(options.reader, DividedReader):
        form = "column" if options.reader.part.column is not None else "time"
    if form:
        raise DataError(f"stream.lanes: in lanes each class is held out by itself: leave out dataset.test.{form}")
    train = experience_files(options.path, reader.suffix)
    tests = None if options.test is None else experience_files(options.test, reader.suffix)
    plan = BlockFiles(name, reader, options, BlockIndex(reader, store), sides)
    if isinstance(train, Location):
        if tests is not None and not isinstance(tests, Location):
            raise DataError(f"{options.test}: dataset.test is a folder, but dataset.path is a file: name a file")
        return plan.single(train, tests) if options.by is None else plan.grouped(train, tests)
    if options.by is not None:
        raise DataError(f"{options.path.path}: a folder has one file for each experience: leave out dataset.by")
    if isinstance(tests, Location):
        raise DataError(f"{tests.path}: dataset.test is a file, but dataset.path a folder: name a folder like it")
    if tests is not None:
        missing = [place.name for place in train if place.name not in {one.name for one in tests}]
        if missing:
            raise DataError(f"{options.test}: has no test file for {', '.join(missing[:5])}")
    return plan.experiences(train, tests)


def experience_files(path: Location, suffix: str | tuple[str, ...]) -> Location | dict[Location, list[Location]]:
    """The file, or for each experience its place with its files, in natural order."""
    if not path.is_folder():
        return path
    folders = path.folders()
    if not folders:
        return {file: [file] for file in path.files(suffix)}
    return {folder: folder.files(suffix) for folder in folders}


@dataclass(frozen=True)
class BlockFiles:
    """What all kinds of datasets of blocks are made of."""

    name: str
    reader: BlockReader
    options: TableFiles
    index: BlockIndex
    sides: bool = False

    def single(self, file: Location, test: Location | None) -> Dataset:
        """One file, which the stream divides by class."""
        files = self.index.files([file] if test is None else [file, test])
        training = self.options.from_training
        labels = self.labels(files[:1] if training else files, SIDES[0] if training and self.sides else None)
        source, *apart = self._apart(files[:1], labels) if self.sides else [self.source(files[:1], labels)]
        apart = apart if test is None else [self.source(files[1:], labels)]
        kind = source.input_kind
        if not apart:
            train = BlockSamples(source, "train", self.options.test_fraction)
            held_out = BlockSamples(source, "test", self.options.test_fraction)
        else:
            apart[0].kind = kind
            train, held_out = BlockSamples(source), BlockSamples(apart[0])
        features = source.features
        ready = None if features is None else features.preprocessing
        fits = features is not None and ready is None
        return Dataset(
            self.name, train, held_out, labels.count, labels.names,
            (*labels.warnings, *layout_warnings(self.name, kind.shape)),
            preprocessing=ready,
            fit=(lambda samples: self.fitted(samples).single(file, test)) if fits else None,
        )  # fmt: skip

    def grouped(self, file: Location, test: Location | None) -> BlockExperiences:
        """One file with an experience for each group of its rows."""
        files = self.index.files([file] if test is None else [file, test])
        labels = self.labels(files[:1] if self.options.from_training else files)
        groups = ascending(files[0].groups or ())
        if test is not None:
            lacking = [one for one in groups if one not in (files[1].groups or ())]
            if lacking:
                raise DataError(f"{test.path}: has no test rows of {lacking[0]}, which {file.path} has")
        return BlockExperiences(
            self.name,
            [self.source(files[:1], labels, group=one) for one in groups],
            None if test is None else [self.source(files[1:], labels, group=one) for one in groups],
            places=[file.path] * len(groups),
            groups=list(map(str, groups)),
            fraction=self.options.test_fraction,
            labels=labels,
            fit=lambda samples: self.fitted(samples).grouped(file, test),
        )

    def experiences(
        self, train: dict[Location, list[Location]], tests: dict[Location, list[Location]] | None
    ) -> BlockExperiences:
        """A file, or a folder of files, for each experience.

        Rows without ids get the id (number of the experience << 40) | row, counted through its files.
        """
        named = {} if tests is None else {place.name: files for place, files in tests.items()}
        apart = [named[place.name] for place in train] if tests is not None else []
        every = [one for files in train.values() for one in files]
        indexed = dict(zip(every, self.index.files(every), strict=True))
        of_tests = [one for files in apart for one in files]
        indexed_tests = dict(zip(of_tests, self.index.files(of_tests), strict=True))
        labels = self.labels(list((indexed if self.options.from_training else indexed | indexed_tests).values()))
        of_each = [[indexed[one] for one in files] for files in train.values()]
        if self.sides:
            pairs = [self._apart(files, labels, number << ID_BITS) for number, files in enumerate(of_each)]
            sources, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        else:
            sources = [self.source(files, labels, number << ID_BITS) for number, files in enumerate(of_each)]
            others = [self.source([indexed_tests[one] for one in files], labels) for files in apart]
        return BlockExperiences(
            self.name,
            sources,
            others if self.sides or tests is not None else None,
            places=[place.path for place in train],
            groups=None,
            fraction=self.options.test_fraction,
            labels=labels,
            fit=lambda samples: self.fitted(samples).experiences(train, tests),
        )

    def _apart(
        self, files: Sequence[IndexedFile], labels: LabelMap | LabelColumns, id_base: int = 0
    ) -> list[BlockSource]:
        """Training and test rows of files whose rows say which they are. Raises DataError: there are none of one."""
        found = [self.source(files, labels, id_base, side) for side in SIDES]
        for source, kind in zip(found, ("training", "test"), strict=True):
            if not source.counts.any():
                raise DataError(
                    f"{files[0].location.path} has no {kind} rows, by dataset.test: {{id_hash: SHARE}} or "
                    "{column: NAME, value: VALUE}: set it otherwise, or give test files: dataset.test: PATH"
                )
        return found

    def source(
        self, files: Sequence[IndexedFile], labels: LabelMap | LabelColumns, id_base: int = 0, group: Any = None
    ) -> BlockSource:
        return BlockSource(self.reader, self.options, files, labels, self.index, id_base, group)

    def labels(self, files: Sequence[IndexedFile], group: str | None = None) -> LabelMap | LabelColumns:
        """From the labels of the files, or of a group of their rows, to targets."""
        options = self.options
        if options.target_kind == "tokens":
            assert isinstance(options.classes, int)
            return TokenColumns("tokens", options.classes)
        if options.target_kind != "classes":
            first = files[0].location
            (state,) = states([first])
            table = next(iter(self.reader.read_block(first, 0, state, 1, inputs=False, extents=files[0].extents)))
            return label_columns(options.target_kind, table.labels, options.label_names, options.classes)
        groups = [file.groups or () if group else (group,) * len(file.labels) for file in files]
        found = (
            (np.array([label for label, one in zip(file.labels, own, strict=True) if one == group]), file.location.path)
            for file, own in zip(files, groups, strict=True)
        )
        return label_map(options.classes, found, sparse=options.from_training)

    def fitted(self, samples: BlockSamples) -> BlockFiles:
        """The same with the preprocessing fitted on samples."""
        reader = fit_features(self.reader, samples, self.index)
        return replace(self, reader=reader, options=replace(self.options, reader=reader))


class BlockExperiences(ExperienceDataset):
    """Experiences of files, or of groups of the rows of one file."""

    def __init__(
        self,
        name: str,
        train: Sequence[BlockSource],
        tests: Sequence[BlockSource] | None,
        *,
        places: Sequence[str],
        groups: Sequence[str] | None,
        fraction: float,
        labels: LabelMap | LabelColumns,
        fit: Callable[[BlockSamples], BlockExperiences],
    ) -> None:
        """
        Args:
            train, tests: of each experience; without tests, a share of each class is held out.
            places: where each experience lies, for messages.
            groups: what each is called; None: by its place.
            fraction: that is held out.
            fit: from training samples to the dataset with its preprocessing fitted on them.
        """
        self.name = name
        self._train, self._tests, self._fraction = list(train), list(tests or ()), fraction
        self._places, self._groups, self._fit = list(places), groups, fit
        self._columns = isinstance(labels, LabelColumns)
        self.classes, self.class_names = labels.count, labels.names
        features = train[0].features
        self._fits = features is not None and features.preprocessing is None
        self.preprocessing = None if features is None else features.preprocessing
        kind = train[0].input_kind
        for source in (*self._train, *self._tests):
            source.kind = kind
        self.input_shape = kind.shape
        self.warnings = (
            *labels.warnings,
            *layout_warnings(name, self.input_shape),
            *([] if self._columns else sorted_warnings(self._train, self.names)),
        )
        if isinstance(labels, LabelMap) and groups is None:
            self.domain_warnings = labels.late_warnings(places[0])
        self._made: dict[tuple[int, bool], BlockSamples] = {}

    @property
    def names(self) -> list[str]:
        """Of the experiences, for messages."""
        if self._groups is None:
            return self._places
        return [f"{place}, {group}" for place, group in zip(self._places, self._groups, strict=True)]

    def __len__(self) -> int:
        return len(self._train)

    def fitted(self, index: int) -> ExperienceDataset:
        return self._fit(self.train(index)) if self._fits else self

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
        if self._columns:
            return ()
        counts = self._train[index].counts.any(axis=0)
        if self._tests:
            counts = counts | self._tests[index].counts.any(axis=0)
        return tuple(np.flatnonzero(counts).tolist())

    def source(self, index: int) -> str:
        return self._places[index]

    def group(self, index: int) -> str | None:
        return None if self._groups is None else self._groups[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}, "_fit": None, "_fits": False}


def sorted_warnings(sources: Sequence[BlockSource], places: Sequence[str]) -> list[str]:
    """What to do where the rows of an experience are sorted by class, so that a batch has few classes of it."""
    found = []
    for source, place in zip(sources, places, strict=True):
        counts = source.counts.astype(np.int64)
        rows, total = counts.sum(axis=1), counts.sum(axis=0)
        alone = rows[counts.max(axis=1) > ONE_CLASS * rows].sum() / max(1, rows.sum())
        if (rows > 0).sum() > 1 and alone > 0.5 and total.max() <= ONE_CLASS * total.sum():
            enough = ENOUGH * int((total > 0).sum())
            found.append(
                f"{place}: {alone:.0%} of the rows lie in blocks of nearly one class: the file is sorted. Batches mix "
                f"stream.lanes * stream.window blocks: make that {enough} at least, so that they are {ENOUGH} of each "
                "class, or rewrite parquet by `everlearn shuffle`"
            )
    return found
