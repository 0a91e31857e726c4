"""Datasets from files of labelled rows: one file that is split by class, or a folder with one file per experience."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset, input_problems
from pipelines.data.datasets.divided_rows import divided
from pipelines.data.datasets.file_experiences import FileExperiences
from pipelines.data.datasets.grouped_rows import GroupedRows, Rows
from pipelines.data.datasets.held_out_part import HeldOut, TestPart
from pipelines.data.datasets.image_layout import Channels, channels_first, layout_warnings
from pipelines.data.datasets.label_columns import LabelColumns, label_columns
from pipelines.data.datasets.labels import Classes, LabelMap, id_numbers, label_map
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.table_reader import FittingReader, Reader, Table, check_same_columns
from pipelines.data.samples import TensorSamples
from pipelines.data.zero_copy import tensor_of
from strategies.objectives.objective import TargetKind

__all__ = ["FileExperiences", "FittingReader", "Reader", "Table", "TableFiles"]


@dataclass(frozen=True)
class TableFiles:
    """The options of a dataset of files.

    Attributes:
        reader: the reader of the file format.
        path: a file or a folder.
        test: a file or a folder with the test rows, of the same names; None: a part of each file is held out.
        test_fraction: share of each class that is held out.
        classes: as in the pipeline file.
        shape: inputs are reshaped to it; None: unchanged.
        channels: `last`: inputs (..., channels) become (channels, ...).
        from_training: classes are the labels of the training rows alone, and numbers may start anywhere and have gaps.
            Formats of older lineages count from 0 to the highest label of all rows instead.
        target_kind: what labels are read as.
        label_names: names of the columns of the labels.
        by: the column by which one file is divided into experiences; None: by class.
        id_hash: share of the samples that is held out instead of `test_fraction`, by a hash of their ids.
    """

    reader: Reader
    path: Location
    test: Location | None
    test_fraction: float
    classes: Classes
    shape: tuple[int, ...] | None
    channels: Channels = "first"
    from_training: bool = False
    target_kind: TargetKind = "classes"
    label_names: tuple[str, ...] | None = None
    by: str | None = None
    id_hash: float | None = None

    @classmethod
    def of(
        cls,
        reader: Reader,
        path: str,
        test: str | TestPart | None,
        test_fraction: float,
        classes: Classes,
        shape: Sequence[int] | None,
        channels: Channels,
        from_training: bool = False,
    ) -> TableFiles:
        """The options as a pipeline file has them."""
        where = Location.of(test) if isinstance(test, str) else None
        sizes = None if shape is None else tuple(shape)
        made = cls(reader, Location.of(path), where, test_fraction, classes, sizes, channels, from_training)
        if not isinstance(test, TestPart):
            return made
        return replace(made, reader=reader if test.id_hash else divided(reader, test), id_hash=test.id_hash)

    def learning(self, target_kind: TargetKind, label_names: tuple[str, ...], by: str | None = None) -> TableFiles:
        """The same files, with labels as the objective learns them, divided by a column."""
        return replace(self, target_kind=target_kind, label_names=label_names, by=by)

    def label_map(self, found: Iterable[tuple[NDArray[Any], str]]) -> LabelMap | LabelColumns:
        """From labels to targets; as `labels.label_map`."""
        if self.target_kind != "classes":
            return label_columns(self.target_kind, next(iter(found))[0], self.label_names, self.classes)
        return label_map(self.classes, found, sparse=self.from_training)

    def load(self, name: str) -> Dataset | ExperienceDataset:
        """The dataset.

        Raises:
            DataError: files are missing or do not fit.
        """
        if isinstance(self.reader, FittingReader) and (self.shape is not None or self.channels != "first"):
            raise DataError("stream.dataset: features make inputs of one dimension: leave out shape and channels")
        folder = self.path.is_folder()
        if self.test is not None and self.test.is_folder() != folder:
            raise DataError(self._unlike(self.test))
        if not folder:
            return self.undivided(name)
        if self.by is not None:
            raise DataError(f"{self.path.path}: a folder has one file for each experience: leave out dataset.by")
        files = self.path.files(self.reader.suffix)
        tests: list[Location] | None = None
        if self.test is not None:
            there = {file.name: file for file in self.test.files(self.reader.suffix)}
            missing = [file.name for file in files if file.name not in there]
            if missing:
                raise DataError(f"{self.test.path}: has no test file for {', '.join(missing[:5])}")
            tests = [there[file.name] for file in files]
        return FileExperiences(name, self, files, tests)

    def undivided(self, name: str) -> Dataset | ExperienceDataset:
        """The dataset of one file: divided by a column, or by class later. Raises as `load`."""
        return self.single(name) if self.by is None else self._grouped(name)

    def _unlike(self, test: Location) -> str:
        """What to do about a file and a folder side by side."""
        if self.path.is_folder():
            return (
                f"{test.path}: dataset.test is a file, but dataset.path is a folder with one file per experience. "
                "Name a folder that has a test file of the same name for each, or leave out `test`: a part of each "
                "file is held out"
            )
        return f"{test.path}: dataset.test is a folder, but dataset.path is a file. Name a file with the test rows"

    def _tables(self) -> tuple[list[tuple[Table, Table | None]], LabelMap | LabelColumns]:
        """The tables of the file and of the test file, and the labels of both."""
        files = [self.path] if self.test is None else [self.path, self.test]
        tables = [self.reader.read(file) for file in files]
        check_same_columns(tables[-1][0], files[-1], tables[0][0].names, files[0])
        found = [
            (table.labels, file.path)
            for pair, file in zip(tables, files, strict=True)
            for table in pair
            if table is not None
        ]
        return tables, self.label_map(found[:1] if self.from_training else found)

    def single(self, name: str) -> Dataset:
        """The dataset of one file, which is not divided yet. Raises as `load`."""
        tables, labels = self._tables()
        train, test = tables[0]
        if self.test is not None:
            first, second = self.samples(train, labels, self.path), self.samples(tables[1][0], labels, self.test)
        else:
            first, second = self.divided(train, test, labels, self.path)
            if len(first) and not len(second):
                raise DataError(
                    f"{self.path.path}: has no test samples, with {len(first)} rows. Add rows, or give test files: "
                    "dataset.test"
                )
        warnings = (*labels.warnings, *layout_warnings(name, first.input_shape))
        made = Dataset(name, first, second, labels.count, labels.names, warnings)
        if not isinstance(self.reader, FittingReader):
            return made
        fitted = self.reader.preprocessing
        return replace(made, preprocessing=fitted, fit=None if fitted else lambda rows: self._fitted(name, rows))

    def _grouped(self, name: str) -> GroupedRows:
        tables, labels = self._tables()
        (train, test), file = tables[0], self.test or self.path
        made = [(train, self.path)] + [
            (one, file) for one in (tables[-1][0] if self.test else test,) if one is not None
        ]
        rows = []
        for table, where in made:
            assert table.groups is not None
            rows.append(Rows(self.samples(table, labels, where), table.groups, where.path))
        ready = self.reader.preprocessing if isinstance(self.reader, FittingReader) else None
        fits = isinstance(self.reader, FittingReader) and ready is None
        return GroupedRows(
            name, rows[0], rows[1] if len(rows) > 1 else None, held_out=self.held_out, classes=labels.count,
            class_names=labels.names, warnings=(*labels.warnings, *layout_warnings(name, rows[0].samples.input_shape)),
            preprocessing=ready,
            fit=(lambda inputs: replace(self, reader=self.fit(self.path, inputs))._grouped(name)) if fits else None,
        )  # fmt: skip

    def _fitted(self, name: str, rows: Tensor) -> Dataset:
        return replace(self, reader=self.fit(self.path, rows)).single(name)

    def fit(self, file: Location, rows: Tensor) -> FittingReader:
        """The reader with its preprocessing fitted on rows of a file, (m, 1)."""
        assert isinstance(self.reader, FittingReader)
        return self.reader.fitted(file, rows.flatten().numpy())

    @property
    def held_out(self) -> HeldOut:
        """What is held out where there are no test rows."""
        return HeldOut(self.test_fraction, self.id_hash)

    def divided(
        self, train: Table, test: Table | None, labels: LabelMap | LabelColumns, file: Location, id_base: int = 0
    ) -> tuple[TensorSamples, TensorSamples]:
        """Training and test samples of one file."""
        first = self.samples(train, labels, file, id_base)
        if test is not None:
            return first, self.samples(test, labels, file, id_base)
        kept, held_out = self.held_out.split(first)
        return first.subset(torch.from_numpy(kept)), first.subset(torch.from_numpy(held_out))

    def samples(self, table: Table, labels: LabelMap | LabelColumns, file: Location, id_base: int = 0) -> TensorSamples:
        """All rows of a table, with the table's ids, or id_base + row."""
        inputs, where = table.inputs, file.path
        if inputs.ndim == 0 or inputs.dtype.kind not in "biuf":
            raise DataError(
                f"{where}: inputs must be numbers, one row a sample, got {inputs.dtype} of shape {inputs.shape}"
            )
        count = len(inputs)
        if len(table.labels) != count or (table.ids is not None and len(table.ids) != count):
            raise DataError(f"{where}: {count} inputs, but {len(table.labels)} labels")
        if self.shape is not None:
            try:
                inputs = inputs.reshape(count, *self.shape)
            except ValueError as error:
                raise DataError(f"{where}: an input of shape {inputs.shape[1:]} cannot become {self.shape}") from error
        if self.channels == "last":
            inputs = channels_first(inputs, where)
        ids = np.arange(count) + id_base if table.ids is None else id_numbers(table.ids, where, file.section)
        numbers = labels.numbers(table.labels, where)
        made = TensorSamples(tensor_of(inputs), torch.from_numpy(numbers), torch.from_numpy(ids))
        problems = input_problems(where, made)
        if problems:
            raise DataError(problems)
        return made
