"""A user's own experiences: a list with a training and a test set for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset as MapDataset

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import (
    Dataset,
    ExperienceDataset,
    class_numbers,
    from_map_style,
    from_tensors,
    is_pair_of_arrays,
    labels_of,
)
from pipelines.data.datasets.label_columns import is_columns
from pipelines.data.experience_samples import ID_BITS
from pipelines.data.samples import StoredSamples
from strategies.objectives.objective import TargetKind


class ListedExperiences(ExperienceDataset):
    """Experiences in memory, or read through a DataLoader. A sample's id is (number of its experience << 40) | row.

    Args:
        name: for messages.
        experiences: datasets with the same classes and inputs of one shape and dtype.
        class_names: the name of each class, if classes have names.

    Raises:
        DataError: their inputs differ in shape or dtype.
    """

    def __init__(self, name: str, experiences: Sequence[Dataset], class_names: tuple[str, ...] | None = None) -> None:
        self.name = name
        self.class_names = class_names
        self._experiences = list(experiences)
        self.classes = max(experience.classes for experience in experiences)
        self.input_shape, dtype = _inputs(experiences[0].train)
        for index, experience in enumerate(experiences):
            if _inputs(experience.train) != (self.input_shape, dtype):
                shape, other = _inputs(experience.train)
                raise DataError(
                    f"{name}: inputs of experience {index} are {shape} {other}, but those of experience 0 are "
                    f"{self.input_shape} {dtype}"
                )
        self.warnings = experiences[0].warnings

    def __len__(self) -> int:
        return len(self._experiences)

    def train(self, index: int) -> StoredSamples:
        return _numbered(self._experiences[index].train, index)

    def test(self, index: int) -> StoredSamples:
        return _numbered(self._experiences[index].test, index)

    def classes_of(self, index: int) -> tuple[int, ...]:
        one = self._experiences[index]
        if is_columns(one.train.targets):
            return ()
        return tuple(torch.unique(torch.cat([one.train.targets, one.test.targets])).tolist())


def experiences_in(name: str, value: Any, kind: TargetKind = "classes") -> ListedExperiences | None:
    """The return value of a user's function, if it is a list with (train, test) of each experience; else None.

    Args:
        kind: what the objective learns.

    Raises:
        DataError: parts of an experience do not fit together.
    """
    if not (isinstance(value, tuple | list) and value and all(map(_is_experience, value))):
        return None
    classes = None
    if kind == "classes":
        classes = 1 + max(_highest(name, index, part) for index, one in enumerate(value) for part in one)
    made = []
    for index, (train, test) in enumerate(value):
        where = f"{name}, experience {index}"
        if is_pair_of_arrays(train) and is_pair_of_arrays(test):
            made.append(from_tensors(where, train, test, classes=classes, kind=kind))
        elif isinstance(train, MapDataset) and isinstance(test, MapDataset):
            made.append(from_map_style(where, train, test, classes=classes, kind=kind))
        else:
            raise DataError(f"{where}: its training and its test set must be of the same kind")
        if made[-1].classes != made[0].classes and kind != "classes":
            raise DataError(
                f"{where}: has {made[-1].classes} columns of labels, where experience 0 has {made[0].classes}"
            )
    return ListedExperiences(name, made)


def _highest(name: str, index: int, part: Any) -> int:
    labels = part[1] if is_pair_of_arrays(part) else labels_of(name, f"experience {index}'s", part)
    return int(max(class_numbers(name, f"experience {index}'s", labels), default=-1))


def _is_experience(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(is_pair_of_arrays(part) or isinstance(part, MapDataset) for part in value)
    )


def _numbered(samples: StoredSamples, index: int) -> StoredSamples:
    return samples.subset(torch.arange(len(samples)), ids=(index << ID_BITS) + samples.ids)


def _inputs(samples: StoredSamples) -> tuple[tuple[int, ...], torch.dtype]:
    return samples.input_shape, samples.take(torch.tensor([0]))[0].dtype
