"""What the rest of the data code asks of samples that are read by blocks, which it cannot look at one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.data.datasets.label_columns import is_columns
from pipelines.data.samples import StoredSamples


class Blockwise(StoredSamples, ABC):
    """Samples whose counts are known by block, and whose inputs, ids and targets are not in memory."""

    @property
    @abstractmethod
    def row_bytes(self) -> int:
        """Bytes of an input."""

    @property
    @abstractmethod
    def largest_block(self) -> int:
        """Rows of the largest block."""

    @property
    @abstractmethod
    def columns(self) -> bool:
        """Whether targets have columns, and are no classes."""

    @abstractmethod
    def target_counts(self, outputs: int) -> Tensor:
        """(outputs,) int64: how many samples have each target."""

    @abstractmethod
    def of_classes(self, units: NDArray[np.int64] | None, id_base: int = 0) -> StoredSamples:
        """The samples of some classes of samples of all classes.

        Args:
            units: (classes,) the target of each class; -1 for those that are left out; None: as they are.
            id_base: added to the ids.
        """

    @abstractmethod
    def fingerprint(self, transform: dict[str, Any] | None) -> str:
        """SHA-256 (hex) of the samples, from the hashes of their blocks.

        Args:
            transform: the transform's parameters (JSON), None for no transform.
        """


def have_columns(samples: StoredSamples) -> bool:
    """Whether the targets of samples have columns, and are no classes; no target is read for it from blocks."""
    return samples.columns if isinstance(samples, Blockwise) else is_columns(samples.targets)
