"""Labels in columns: the numbers of a regression, or 0 and 1 for each label of multi-label learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from strategies.objectives.objective import TargetKind

COLUMN_DTYPES = (torch.float64, torch.uint8, torch.int32)
"""Of targets that are numbers, of labels, and of tokens."""

_FITS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
    "numbers": lambda values: np.isfinite(values),
    "labels": lambda values: (values == 0) | (values == 1),
    "tokens": lambda values: (values == np.round(values)) & (values >= -1) & (values < 2**31),
}
_RULES = {
    "numbers": "finite numbers",
    "labels": "0 or 1 in each column",
    "tokens": "numbers of tokens, or -1 where nothing is learned",
}
_DTYPES: dict[str, type[np.generic]] = {"numbers": np.float64, "labels": np.uint8, "tokens": np.int32}


@dataclass(frozen=True)
class LabelColumns:
    """From the labels of a file to targets, in the place of a `LabelMap`.

    Attributes:
        kind: numbers or labels.
        count: of columns.
        names: of the columns; None: they have none.
        warnings: none.
    """

    kind: TargetKind
    count: int
    names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def numbers(self, labels: NDArray[Any], where: str) -> NDArray[Any]:
        """Targets, (n, count) float64 or uint8, of labels, (n,) or (n, count).

        Raises:
            DataError: a value that does not fit; the message names its row, its column and the file.
        """
        found = column_values(labels, self.kind, where, self.names)
        if found.shape[1] != self.count:
            raise DataError(f"{where}: has {found.shape[1]} columns of labels, where other files have {self.count}")
        return found


@dataclass(frozen=True)
class TokenColumns(LabelColumns):
    """The tokens of sequences, of which there are `count` different ones."""

    def numbers(self, labels: NDArray[Any], where: str) -> NDArray[Any]:
        """(n, length) int32, as the tokenizer gave them."""
        return labels.astype(np.int32, copy=False)


def label_columns(kind: TargetKind, labels: NDArray[Any], names: tuple[str, ...] | None, classes: Any) -> LabelColumns:
    """The columns of labels, (n,) or (n, k), as the first file has them.

    Args:
        names: of the columns, if they have as many.
        classes: as in the pipeline file.

    Raises:
        DataError: classes are given.
    """
    if classes is not None:
        raise DataError("classes: is for labels that are classes, and the objective learns columns: leave it out")
    count = labels.shape[1] if labels.ndim == 2 else 1
    return LabelColumns(kind, count, names if names is not None and len(names) == count else None)


def column_values(labels: Any, kind: TargetKind, where: str, names: tuple[str, ...] | None = None) -> NDArray[Any]:
    """Labels, (n,) or (n, k), as targets, (n, k): float64 numbers, uint8 of 0 and 1, or int32 tokens.

    Args:
        names: of the columns, for messages.

    Raises:
        DataError: they are not of the kind; the message names row and column.
    """
    array = np.asarray(labels)
    columns = array[:, None] if array.ndim == 1 else array
    if columns.ndim != 2 or columns.shape[1] == 0:
        raise DataError(f"{where}: labels must have shape (n,) or (n, k), got {array.shape}")
    if columns.dtype.kind not in "biuf":
        shown = f", such as {columns[0, 0]!r}" if len(columns) else ""
        raise DataError(f"{where}: labels must be numbers for this objective, not text{shown}")
    values = columns.astype(np.float64)
    fits = _FITS[kind](values)
    wrong = np.argwhere(~fits)
    if len(wrong):
        row, column = (int(place) for place in wrong[0])
        rule = _RULES[kind]
        called = column if names is None else repr(names[column])
        at = f"row {row}, column {called}" if columns.shape[1] > 1 else f"row {row}"
        rows = len(np.unique(wrong[:, 0]))
        raise DataError(
            f"{where}: label {values[row, column]:g} in {at} does not fit: labels are {rule} ({rows} such rows)"
        )
    return values.astype(_DTYPES[kind])


def is_columns(targets: Tensor) -> bool:
    """Whether targets have columns, and are no classes."""
    return targets.dim() == 2


def kind_problems(where: str, targets: Tensor, kind: TargetKind) -> list[str]:
    """What is wrong with the targets of a dataset that was made elsewhere."""
    wanted = {"classes": torch.int64, "numbers": torch.float64, "labels": torch.uint8, "tokens": torch.int32}[kind]
    if targets.dtype == wanted and is_columns(targets) == (kind != "classes"):
        return []
    columns = {torch.float64: "has numbers", torch.int32: "has tokens"}.get(targets.dtype, "has labels")
    found = columns if is_columns(targets) else "has classes"
    suited = "next-token" if found == "has tokens" else "regression or objective: multi-label"
    remedy = {
        "classes": f"set objective: {suited}",
        "numbers": "the objective learns numbers, (n, k) float64",
        "labels": "the objective learns labels, (n, k) uint8 of 0 and 1",
        "tokens": "the objective learns tokens, (n, length) int32, which the dataset documents gives",
    }[kind]
    return [f"{where}: {found} as targets: {remedy}"]
