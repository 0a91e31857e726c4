"""What a dataset is: a training and a test set with class numbers as targets, or one such pair per experience."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.image_layout import layout_warnings
from pipelines.data.datasets.label_columns import column_values, is_columns, kind_problems
from pipelines.data.datasets.labels import gap_warnings
from pipelines.data.samples import CHUNK, MapSamples, StoredSamples, TensorSamples
from pipelines.data.zero_copy import tensor_of
from strategies.objectives.objective import TargetKind

if TYPE_CHECKING:
    from pipelines.data.features.preprocessing import Preprocessing
    from pipelines.data.images.image_options import ImageInputs


@dataclass(frozen=True)
class Dataset:
    """One training set and one test set, which a stream splits by class, or transforms.

    Attributes:
        name: for messages.
        train, test: their targets are class numbers, 0 to classes - 1, or columns (`label_columns`). Row numbers are
            the ids of a dataset without ids.
        classes: number of classes, or of the columns of targets.
        class_names: the name of each class or column; None: they are called by their numbers.
        warnings: what a person should know before training, a line each.
        preprocessing: what made the inputs from the columns of a table; None: nothing.
        images: how image files become inputs; None: inputs were no image files.
        fit: where that is not fitted yet, and inputs are numbers of rows (n, 1): from the inputs of the training
            samples of experience 0, or from samples in blocks, to the dataset with the preprocessing fitted on these.
    """

    name: str
    train: StoredSamples
    test: StoredSamples
    classes: int
    class_names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    images: ImageInputs | None = None
    fit: Callable[[Any], Dataset] | None = field(default=None, compare=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.train.input_shape


class ExperienceDataset(ABC):
    """A dataset that is divided into experiences already; each is read when it is used.

    Attributes:
        name: for messages.
        classes: number of classes in all experiences, or of the columns of targets.
        input_shape: shape of one input.
        class_names: the name of each class; None: classes are called by their numbers.
        warnings: what a person should know before training, a line each.
        domain_warnings: the same, in a domain-incremental stream.
        preprocessing: what made the inputs from the columns of a table; None: nothing.
        images: how image files become inputs; None: inputs were no image files.
    """

    name: str
    classes: int
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    domain_warnings: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    images: ImageInputs | None = None

    def fitted(self, index: int) -> ExperienceDataset:
        """The dataset with its preprocessing fitted on the training samples of experience `index`, if it has one."""
        return self

    @abstractmethod
    def __len__(self) -> int:
        """Number of experiences."""

    @abstractmethod
    def train(self, index: int) -> StoredSamples:
        """Training set of an experience; targets are class numbers, ids are unique over all experiences."""

    @abstractmethod
    def test(self, index: int) -> StoredSamples:
        """Test set of an experience."""

    @abstractmethod
    def classes_of(self, index: int) -> tuple[int, ...]:
        """The classes that occur in an experience, ascending; none where targets are columns."""

    def read_ahead(self, index: int) -> None:  # noqa: B027
        """Begin to read an experience that `train` and `test` will ask for, if that can be done beside other work."""

    def source(self, index: int) -> str | None:
        """The file of an experience, for messages; None: it is in no file of its own."""
        return None

    def group(self, index: int) -> str | None:
        """The value of the column that divides the rows; None: no column does."""
        return None


def from_tensors(
    name: str,
    train: Sequence[Any],
    test: Sequence[Any],
    *,
    classes: int | None = None,
    ids: Any = None,
    kind: TargetKind = "classes",
) -> Dataset:
    """A dataset in memory.

    Args:
        name: for messages.
        train, test: (inputs (n, *shape), labels (n,)), tensors or numpy arrays; labels are class numbers from 0, or
            with another `kind` columns, (n, k).
        classes: how many; default: one more than the highest label.
        ids: (train ids (n,), test ids (m,)), int64; default: row numbers.

    Raises:
        DataError: shapes, dtypes or labels do not fit.
    """
    made: list[TensorSamples] = []
    for part, (inputs, labels) in (("training", train), ("test", test)):
        own = None if ids is None else _tensor(f"{name}: {part} ids", ids[len(made)])
        targets = target_values(name, part, labels, kind)
        made.append(TensorSamples(_tensor(f"{name}: {part} inputs", inputs), targets, own))
    return _whole(name, made[0], made[1], classes, kind)


def from_map_style(
    name: str, train: Any, test: Any, *, classes: int | None = None, workers: int = 0, kind: TargetKind = "classes"
) -> Dataset:
    """A dataset that is read through a DataLoader.

    Args:
        name: for messages.
        train, test: map-style torch datasets: item i is (input, label, ...). Labels are taken from an attribute
            `targets` or `labels`; without one, every item is read once. An attribute `fingerprint` (a string that
            changes with the content) saves reading all inputs to compute one.
        classes: how many; default: one more than the highest label.
        workers: processes that read ahead.

    Raises:
        DataError: items or labels do not fit.
    """
    made = []
    for part, data in (("training", train), ("test", test)):
        labels = target_values(name, part, labels_of(name, part, data, kind), kind)
        if len(labels) != len(data):
            raise DataError(f"{name}: the {part} set has {len(data)} items, but {len(labels)} labels")
        made.append(MapSamples(data, labels, workers=workers))
    first, second = made
    for part, samples in (("training", first), ("test", second)):
        if len(samples) and samples.content_fingerprint is None and not _repeatable(samples):
            raise DataError(
                f"{name}: the {part} set gives different inputs each time that it is read, so it has no fixed "
                "fingerprint; give the dataset an attribute `fingerprint`, a string that changes with its content"
            )
    return _whole(name, first, second, classes, kind)


def adopt(name: str, value: Any, kind: TargetKind = "classes") -> Dataset | ExperienceDataset:
    """The return value of a user's function, as a dataset.

    Args:
        value: ((x_train, y_train), (x_test, y_test)) of tensors or arrays; (train, test) map-style torch datasets; or a
            dataset as this module defines it.
        kind: what the objective learns.

    Raises:
        DataError: it is none of these, or its parts do not fit together.
    """
    if isinstance(value, Dataset):
        return checked(value, kind)
    if isinstance(value, ExperienceDataset):
        problems = kind_problems(value.name, value.train(0).targets, kind) if len(value) else []
        if problems:
            raise DataError(problems)
        return value
    if isinstance(value, tuple | list) and len(value) == 2:
        train, test = value
        if all(is_pair_of_arrays(part) for part in value):
            return from_tensors(name, train, test, kind=kind)
        if all(hasattr(part, "__getitem__") and hasattr(part, "__len__") for part in value):
            return from_map_style(name, train, test, kind=kind)
    raise DataError(
        f"{name}: must return ((x_train, y_train), (x_test, y_test)) or two map-style torch datasets (train, test), "
        f"or a list with one of these for each experience, not {type(value).__name__}"
    )


def checked(dataset: Dataset, kind: TargetKind = "classes") -> Dataset:
    """The dataset, if its parts fit together.

    Raises:
        DataError: an empty set, shapes or dtypes that differ, labels out of range, inputs that are not numbers.
    """
    problems: list[str] = []
    for part, samples in (("training", dataset.train), ("test", dataset.test)):
        if len(samples) == 0:
            problems.append(f"{dataset.name}: the {part} set is empty")
            continue
        where = f"{dataset.name}: {part} set"
        wrong = kind_problems(where, samples.targets, kind)
        problems += wrong or label_problems(where, samples.targets, dataset.classes)
        if isinstance(samples, TensorSamples):
            problems += input_problems(f"{dataset.name}: {part} set", samples)
    if problems:
        raise DataError(problems)
    train, test = (samples.take(torch.tensor([0]))[0] for samples in (dataset.train, dataset.test))
    if (train.shape, train.dtype) != (test.shape, test.dtype):
        raise DataError(
            f"{dataset.name}: training inputs are {tuple(train.shape[1:])} {train.dtype}, "
            f"but test inputs {tuple(test.shape[1:])} {test.dtype}"
        )
    if len(torch.unique(dataset.train.ids)) != len(dataset.train):
        raise DataError(f"{dataset.name}: the ids of the training samples are not unique")
    return dataset


def label_problems(where: str, labels: Tensor, classes: int) -> list[str]:
    """What is wrong with class numbers (n,), or with columns (n, classes)."""
    if labels.dtype == torch.int32 and is_columns(labels):
        highest = int(labels.max()) if len(labels) else -1
        return [] if highest < classes else [f"{where}: token {highest}, where there are {classes}"]
    if is_columns(labels):
        same = labels.shape[1] == classes
        return [] if same else [f"{where}: {labels.shape[1]} columns of labels, where there are {classes}"]
    wrong = torch.nonzero((labels < 0) | (labels >= classes)).flatten()
    if len(wrong) == 0:
        return []
    fit = f"with {classes} classes labels are 0 to {classes - 1} ({len(wrong)} such rows)"
    return [f"{where}: label {int(labels[row := int(wrong[0])])} in row {row} does not fit: {fit}"]


def input_problems(where: str, samples: TensorSamples) -> list[str]:
    """What is wrong with inputs in memory: NaN and infinite values."""
    if not samples.dtype.is_floating_point:
        return []
    for start in range(0, len(samples), CHUNK):
        inputs = samples.inputs(slice(start, start + CHUNK))
        if _all_finite(inputs):
            continue
        finite = torch.isfinite(inputs).reshape(len(inputs), -1).all(dim=1)
        row = start + int(torch.nonzero(~finite)[0])
        return [f"{where}: the input in row {row} has values that are NaN or infinite"]
    return []


def _all_finite(inputs: Tensor) -> bool:
    if inputs.dtype == torch.bfloat16:  # numpy has no such numbers
        return bool(inputs.isfinite().all())
    # Not by torch, whose threads cost more than they give where blocks are read in threads.
    return bool(np.isfinite(inputs.numpy()).all())


def is_pair_of_arrays(part: Any) -> bool:
    """Whether this is (inputs, labels), tensors or numpy arrays."""
    return isinstance(part, tuple | list) and len(part) == 2 and all(isinstance(p, Tensor | np.ndarray) for p in part)


def _tensor(where: str, value: Any) -> Tensor:
    try:
        tensor = value.detach().cpu() if isinstance(value, Tensor) else tensor_of(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: not numbers: {error}") from error
    if tensor.dim() == 0:
        raise DataError(f"{where}: must be an array with one row per sample")
    return tensor


def class_numbers(name: str, part: str, labels: Any) -> Tensor:
    """Labels as class numbers, (n,) int64.

    Raises:
        DataError: they are no whole numbers, or not one for each sample.
    """
    tensor = _tensor(f"{name}: {part} labels", labels)
    if tensor.dim() == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.dim() != 1:
        raise DataError(f"{name}: {part} labels must have shape (n,), got {tuple(tensor.shape)}")
    if tensor.is_floating_point():
        wrong = torch.nonzero(tensor != tensor.round()).flatten()
        if len(wrong):
            row = int(wrong[0])
            label = tensor[row].item()
            raise DataError(f"{name}: {part} label {label} in row {row} does not fit: labels are numbers 0, 1, ...")
    return tensor.to(torch.int64)


def target_values(name: str, part: str, labels: Any, kind: TargetKind) -> Tensor:
    """Labels as targets of a kind: class numbers, (n,) int64, or columns, (n, k).

    Raises:
        DataError: they are not of this kind.
    """
    if kind == "classes":
        return class_numbers(name, part, labels)
    tensor = _tensor(f"{name}: {part} labels", labels)
    return torch.from_numpy(column_values(tensor.numpy(), kind, f"{name}: {part} set"))


def _whole(
    name: str, train: StoredSamples, test: StoredSamples, classes: int | None, kind: TargetKind = "classes"
) -> Dataset:
    """Both sets as a dataset whose parts fit together."""
    gaps: tuple[str, ...] = ()
    if kind == "tokens":
        classes = classes or 1 + max(int(part.targets.max()) for part in (train, test) if len(part))
    elif kind != "classes":
        classes = train.targets.shape[1]
    if classes is None:
        labels = torch.unique(torch.cat([train.targets, test.targets])).tolist()
        gaps = gap_warnings(labels, name, "Number the classes 0, 1, ...") if labels and labels[0] >= 0 else ()
        classes = 1 + max(labels, default=-1)
    found = checked(Dataset(name, train, test, classes), kind)
    return replace(found, warnings=(*gaps, *layout_warnings(name, found.input_shape)))


def labels_of(name: str, part: str, data: Any, kind: TargetKind = "classes") -> Any:
    """The labels of a map-style dataset: its attribute `targets` or `labels`, else those of its items."""
    for labels in (getattr(data, attribute, None) for attribute in ("targets", "labels")):
        if labels is not None:
            return labels if isinstance(labels, Tensor) else np.asarray(labels)
    try:
        if kind != "classes":
            return np.stack([np.asarray(data[row][1], dtype=np.float64) for row in range(len(data))])
        return np.asarray([int(data[row][1]) for row in range(len(data))], dtype=np.int64)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise DataError(f"{name}: the {part} set's items must be (input, label): {error}") from error


def _repeatable(samples: MapSamples) -> bool:
    index = torch.tensor([0])
    return torch.equal(samples.take(index)[0].nan_to_num(), samples.take(index)[0].nan_to_num())
