"""A folder with one file per experience."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.data.datasets.image_layout import layout_warnings
from pipelines.data.datasets.label_columns import LabelColumns
from pipelines.data.datasets.labels import LabelMap, id_numbers
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.next_file import NextFile
from pipelines.data.datasets.table_reader import FittingReader, check_same_columns
from pipelines.data.experience_samples import ID_BITS
from pipelines.data.samples import TensorSamples

if TYPE_CHECKING:
    from pipelines.data.datasets.tables import TableFiles

_READ_AHEAD = 64 * 2**20
"""Bytes of a file after which the next one is read while it is learned."""

_Made = tuple[NDArray[Any] | None, TensorSamples, TensorSamples | None]
"""The ids of the training rows as they are in a file, its training samples, and its test samples if it has them."""


class FileExperiences(ExperienceDataset):
    """A folder with one file per experience, in the order of their names. A file is read when it is used.

    Rows without ids get the id (number of the file << 40) | row: new files must sort behind the others.
    """

    def __init__(self, name: str, options: TableFiles, files: list[Location], tests: list[Location] | None) -> None:
        self.name = name
        self._options = options
        self._files = files
        self._tests = tests
        self._classes: dict[int, tuple[int, ...]] = {}
        self._last: tuple[int, TensorSamples, TensorSamples | None] | None = None
        self._ahead: NextFile[_Made] = NextFile()
        every_file = files if options.from_training else [*files, *(tests or [])]
        found = ((options.reader.labels(file), file.path) for file in every_file)
        self._labels = options.label_map(found)
        self.classes = self._labels.count
        self._dtype: torch.dtype | None = None
        if isinstance(options.reader, FittingReader):
            self.preprocessing = options.reader.preprocessing
        self._ids: dict[int, NDArray[np.int64]] = {}
        self._names: tuple[str, ...] | None = None
        self.class_names = self._labels.names
        first = self.train(0)
        self.input_shape, self._dtype = first.input_shape, first.dtype
        self.warnings = (*self._labels.warnings, *layout_warnings(name, self.input_shape))
        if isinstance(self._labels, LabelMap):
            self.domain_warnings = self._labels.late_warnings(files[0].name)

    def __len__(self) -> int:
        return len(self._files)

    def fitted(self, index: int) -> FileExperiences:
        if self.preprocessing is not None or not isinstance(self._options.reader, FittingReader):
            return self
        train = self.train(index)
        reader = self._options.fit(self._files[index], train.take(torch.arange(len(train)))[0])
        return FileExperiences(self.name, replace(self._options, reader=reader), self._files, self._tests)

    def train(self, index: int) -> TensorSamples:
        return self._read(index)[0]

    def test(self, index: int) -> TensorSamples:
        if self._tests is not None:
            table, _ = self._options.reader.read(self._tests[index])
            check_same_columns(table, self._tests[index], self._names, self._files[0])
            return self._fitting(self._options.samples(table, self._labels, self._tests[index]), self._tests[index])
        held_out = self._read(index)[1]
        assert held_out is not None
        return held_out

    def source(self, index: int) -> str:
        return self._files[index].path

    def classes_of(self, index: int) -> tuple[int, ...]:
        if isinstance(self._labels, LabelColumns):
            return ()
        if index not in self._classes:
            files = [self._files[index], *([self._tests[index]] if self._tests is not None else [])]
            found = [self._labels.numbers(self._options.reader.labels(file), file.path) for file in files]
            self._classes[index] = tuple(int(number) for number in np.unique(np.concatenate(found)))
        return self._classes[index]

    def read_ahead(self, index: int) -> None:
        # Two files are in memory then.
        if self._last is not None and sum(part.bytes for part in self._last[1:] if part) <= _READ_AHEAD:
            self._ahead.start(index, lambda: self._made(index))

    def _read(self, index: int) -> tuple[TensorSamples, TensorSamples | None]:
        """Training and test samples of a file; those of the last file are cached."""
        if self._last is None or self._last[0] != index:
            self._last = None
            ahead = self._ahead.take(index)
            ids, train, held_out = self._made(index) if ahead is None else ahead.result()
            self._compare_ids(index, ids)
            self._last = (index, train, held_out)
        return self._last[1], self._last[2]

    def _made(self, index: int) -> _Made:
        """What is read of a file. May run in another thread."""
        file = self._files[index]
        train, test = self._options.reader.read(file)
        self._names = train.names if self._names is None else self._names
        check_same_columns(train, file, self._names, self._files[0])
        held_out: TensorSamples | None = None
        if self._tests is not None:
            samples = self._options.samples(train, self._labels, file, index << ID_BITS)
        else:
            samples, held_out = self._options.divided(train, test, self._labels, file, index << ID_BITS)
        return train.ids, self._fitting(samples, file), held_out

    def _compare_ids(self, index: int, ids: NDArray[Any] | None) -> None:
        """Refuse ids that other files have too: to the memory of a strategy they would be the same sample."""
        if ids is None or index in self._ids:
            return
        own = id_numbers(ids, self._files[index].path)
        for other, numbers in self._ids.items():
            _, rows, places = np.intersect1d(own, numbers, assume_unique=True, return_indices=True)
            if len(rows):
                row = int(rows.min())
                (place,) = places[rows == row]
                raise DataError(
                    f"{self._files[index].path}: row {row} has the id {ids[row]!s}, which row {place} of "
                    f"{self._files[other].name} has too ({len(rows)} such rows): an id names one sample of all files. "
                    "Make them different, or leave out dataset.id"
                )
        self._ids[index] = own

    def _fitting(self, samples: TensorSamples, file: Location) -> TensorSamples:
        if self._dtype is not None and (samples.input_shape, samples.dtype) != (self.input_shape, self._dtype):
            raise DataError(
                f"{file.path}: its inputs are {samples.input_shape} {samples.dtype}, but those of "
                f"{self._files[0].name} are {self.input_shape} {self._dtype}"
            )
        return samples

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None, "_ids": {}}
