"""Rows of a block in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Rows(NamedTuple):
    """Rows, or memory for them.

    Attributes:
        inputs: (n, *shape) in stored dtype.
        targets: (n,) int64, or (n, k).
        ids: (n,) int64.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    ids: NDArray[np.int64]

    def put(self, where: NDArray[np.int64] | slice, rows: Rows, at: NDArray[np.int64] | slice) -> None:
        """Write the rows `at` of others to the places `where`."""
        for mine, others in zip(self, rows, strict=True):
            _by_row(mine)[where] = _by_row(others)[at]

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and ids, on the same memory."""
        return torch.from_numpy(self.inputs), torch.from_numpy(self.targets), torch.from_numpy(self.ids)


def _by_row(values: NDArray[Any]) -> NDArray[Any]:
    """The same memory, (n,), with a row as one value of so many bytes: copied at once, in two thirds of the time."""
    if values.ndim == 1 or not values.size or not values.flags.c_contiguous:
        return values
    return values.reshape(len(values), -1).view(f"V{values.nbytes // len(values)}")[:, 0]
