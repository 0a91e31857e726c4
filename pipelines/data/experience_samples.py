"""Where the samples of one experience come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import torch
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.blockwise import Blockwise
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.samples import StoredSamples
from pipelines.data.transforms import Transform

ID_BITS = 40
"""Bits of the row in ids of the form (experience << ID_BITS) | row."""


class Part(Protocol):
    """The samples of one experience, before its transform."""

    @property
    def classes(self) -> tuple[int, ...]:
        """The dataset's classes that occur."""
        ...

    @property
    def outputs(self) -> tuple[int, ...] | None:
        """Active classes, as output units; None: all."""
        ...

    @property
    def transform(self) -> Transform | None: ...

    def train(self) -> StoredSamples:
        """Training samples; targets are output units."""
        ...

    def test(self) -> StoredSamples:
        """Test samples; targets are output units."""
        ...


@dataclass(frozen=True, eq=False)
class ClassPart:
    """The samples of some classes of a dataset.

    Attributes:
        units: the output unit of each of `classes`.
        id_base: added to row numbers to give ids, or None to keep the dataset's own ids.
    """

    dataset: Dataset
    classes: tuple[int, ...]
    units: tuple[int, ...]
    outputs: tuple[int, ...] | None
    transform: Transform | None = None
    id_base: int | None = None

    def train(self) -> StoredSamples:
        return self._of(self.dataset.train)

    def test(self) -> StoredSamples:
        return self._of(self.dataset.test)

    def empty(self) -> list[str]:
        """Names of the sets (training, test) that have no samples of these classes."""
        sets = (("training", self.dataset.train), ("test", self.dataset.test))
        return [name for name, samples in sets if not self._has(samples)]

    def _has(self, samples: StoredSamples) -> bool:
        if isinstance(samples, Blockwise):
            return bool(samples.target_counts(self.dataset.classes)[list(self.classes)].any())
        return bool(torch.isin(samples.targets, torch.tensor(self.classes)).any())

    def _of(self, samples: StoredSamples) -> StoredSamples:
        unit = torch.full((self.dataset.classes,), -1, dtype=torch.int64)
        unit[list(self.classes)] = torch.tensor(self.units)
        if isinstance(samples, Blockwise):
            return samples.of_classes(unit.numpy(), self.id_base or 0)
        targets = unit[samples.targets]
        rows = torch.nonzero(targets >= 0).flatten()
        ids: Tensor | None = None if self.id_base is None else self.id_base + rows
        return samples.subset(rows, targets=targets[rows], ids=ids)


@dataclass(frozen=True, eq=False)
class StoredPart:
    """One experience of a dataset that comes in experiences; targets are class numbers.

    Attributes:
        number: its number in the dataset.
        masked: only the units of its own classes are active.
        units: its output units, where targets are columns and each experience is a task with units of its own.
    """

    dataset: ExperienceDataset
    number: int
    masked: bool
    transform: None = None
    units: tuple[int, ...] | None = None

    @property
    def classes(self) -> tuple[int, ...]:
        return self.dataset.classes_of(self.number)

    @property
    def domain(self) -> str | None:
        """What people call it: the value of the column that divides the data, or its file without the suffix."""
        group = self.dataset.group(self.number)
        if group is not None:
            return group
        file = self.dataset.source(self.number)
        return None if file is None else PurePosixPath(file).name.partition(".")[0]

    @property
    def outputs(self) -> tuple[int, ...] | None:
        if self.units is not None:
            return self.units
        return self.classes if self.masked else None

    def train(self) -> StoredSamples:
        return self._filled(self.dataset.train(self.number), "training")

    def test(self) -> StoredSamples:
        return self._filled(self.dataset.test(self.number), "test")

    def _filled(self, samples: StoredSamples, name: str) -> StoredSamples:
        if len(samples) == 0:
            raise DataError(f"{self.dataset.name}: experience {self.number} has no {name} samples" + self._where(name))
        return samples

    def _where(self, name: str) -> str:
        """The file without samples, and what to do about it."""
        source = self.dataset.source(self.number)
        if source is None:
            return ""
        why = "no class of it has two rows, and a single row is trained on" if name == "test" else "it has no rows"
        remedy = "Add rows, or give test files: dataset.test" if name == "test" else "Add rows, or remove the file"
        return f": {source}: {why}. {remedy}"


@dataclass(frozen=True, eq=False)
class ColumnPart:
    """A whole dataset whose targets are columns, under a transform.

    Attributes:
        id_base: added to row numbers to give ids, or None to keep the dataset's own ids.
    """

    dataset: Dataset
    outputs: tuple[int, ...] | None
    transform: Transform | None = None
    id_base: int | None = None
    classes: tuple[int, ...] = ()

    def train(self) -> StoredSamples:
        return self._of(self.dataset.train)

    def test(self) -> StoredSamples:
        return self._of(self.dataset.test)

    def _of(self, samples: StoredSamples) -> StoredSamples:
        if self.id_base is None:
            return samples
        if isinstance(samples, Blockwise):
            return samples.of_classes(None, self.id_base)
        rows = torch.arange(len(samples))
        return samples.subset(rows, ids=self.id_base + rows)


def column_parts(dataset: Dataset, transforms: Sequence[Transform | None], setting: str) -> list[ColumnPart]:
    """An experience with all samples for each transform; in a task-incremental stream each has units of its own."""
    alone = len(transforms) == 1
    return [
        ColumnPart(
            dataset,
            task_units(index, dataset.classes) if setting == "task-incremental" else None,
            transform,
            id_base=None if alone else index << ID_BITS,
        )
        for index, transform in enumerate(transforms)
    ]


def task_units(index: int, columns: int) -> tuple[int, ...]:
    """The output units of the columns in the experience `index` of a task-incremental stream."""
    return tuple(range(index * columns, (index + 1) * columns))


def class_parts(dataset: Dataset, groups: Sequence[tuple[int, ...]], setting: str) -> list[ClassPart]:
    """An experience for each group of classes, disjoint.

    Class- and task-incremental: a class has the output unit of its number. Domain-incremental: the n-th class of every
    experience has unit n.
    """
    parts = []
    for classes in groups:
        units = tuple(range(len(classes))) if setting == "domain-incremental" else classes
        outputs = tuple(sorted(classes)) if setting == "task-incremental" else None
        parts.append(ClassPart(dataset, classes, units, outputs))
    return parts


def transformed_parts(dataset: Dataset, transforms: Sequence[Transform | None], setting: str) -> list[ClassPart]:
    """An experience with all classes for each transform.

    Domain-incremental: a class has the unit of its number. Class- and task-incremental: each experience has its own
    units for all classes (van de Ven & Tolias 2019, Permuted MNIST).
    """
    classes = tuple(range(dataset.classes))
    parts = []
    for index, transform in enumerate(transforms):
        base = 0 if setting == "domain-incremental" else index * len(classes)
        units = tuple(base + number for number in classes)
        outputs = units if setting == "task-incremental" else None
        parts.append(ClassPart(dataset, classes, units, outputs, transform, id_base=index << ID_BITS))
    return parts
