"""One file that is divided into experiences by a column: a domain, a site, a month."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.data.datasets.held_out_part import HeldOut
from pipelines.data.datasets.label_columns import is_columns
from pipelines.data.datasets.location import natural_order
from pipelines.data.samples import TensorSamples

if TYPE_CHECKING:
    from pipelines.data.features.preprocessing import Preprocessing


@dataclass(frozen=True)
class Rows:
    """Rows of a file.

    Attributes:
        samples: one for each row.
        groups: (n,) the value of the column by which they are divided.
        where: the file, for messages.
    """

    samples: TensorSamples
    groups: NDArray[Any]
    where: str


class GroupedRows(ExperienceDataset):
    """An experience for each value of a column, in ascending order: numbers by size, text as people count.

    Without test rows, a part of each experience is held out, of each class the same fraction.
    """

    def __init__(
        self,
        name: str,
        rows: Rows,
        test: Rows | None,
        *,
        held_out: HeldOut,
        classes: int,
        class_names: tuple[str, ...] | None,
        warnings: tuple[str, ...],
        preprocessing: Preprocessing | None = None,
        fit: Callable[[Tensor], ExperienceDataset] | None = None,
    ) -> None:
        """
        Args:
            rows: for training, and for testing where `test` is None.
            held_out: of each experience.
            fit: from the inputs of the training samples of experience 0 to the dataset with its preprocessing fitted.

        Raises:
            DataError: an experience has no test rows.
        """
        self.name = name
        self.classes = classes
        self.class_names = class_names
        self.warnings = warnings
        self.preprocessing = preprocessing
        self.input_shape = rows.samples.input_shape
        self._rows, self._test, self._held_out, self._fit = rows, test, held_out, fit
        self._values = ascending(rows.groups.tolist())
        for value in self._values if test is not None else ():
            assert test is not None
            if not (test.groups == value).any():
                raise DataError(f"{test.where}: has no test rows of {value}, which {rows.where} has")

    def __len__(self) -> int:
        return len(self._values)

    def train(self, index: int) -> TensorSamples:
        return self._divided(index)[0]

    def test(self, index: int) -> TensorSamples:
        if self._test is None:
            return self._divided(index)[1]
        rows = np.flatnonzero(self._test.groups == self._values[index])
        return self._test.samples.subset(torch.from_numpy(rows))

    def group(self, index: int) -> str:
        """The value of the column that divides the rows."""
        return str(self._values[index])

    def classes_of(self, index: int) -> tuple[int, ...]:
        train, test = self.train(index).targets, self.test(index).targets
        return () if is_columns(train) else tuple(torch.unique(torch.cat([train, test])).tolist())

    def fitted(self, index: int) -> ExperienceDataset:
        if self._fit is None:
            return self
        train = self.train(index)
        return self._fit(train.take(torch.arange(len(train)))[0])

    def _divided(self, index: int) -> tuple[TensorSamples, TensorSamples]:
        rows = np.flatnonzero(self._rows.groups == self._values[index])
        own = self._rows.samples.subset(torch.from_numpy(rows))
        if self._test is not None:
            return own, own
        kept, held_out = self._held_out.split(own)
        return own.subset(torch.from_numpy(kept)), own.subset(torch.from_numpy(held_out))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fit": None}


def ascending(groups: Iterable[Any]) -> list[Any]:
    """The different values, ascending: numbers by size, text as people count."""
    found = list(dict.fromkeys(groups))
    if all(isinstance(value, str) for value in found):
        return sorted(found, key=natural_order)
    return sorted(found)
