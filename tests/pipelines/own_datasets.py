"""Datasets of a user's own, named by import path in the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pipelines.data.datasets.dataset import Dataset, from_map_style


def arrays(count: int = 40, classes: int = 4, shape: tuple[int, ...] = (1, 4, 4)) -> Any:
    """Numbered images: uint8 arrays."""
    rows = np.arange(count)
    inputs = (rows.reshape(-1, *([1] * len(shape))) + np.zeros(shape)).astype(np.uint8)
    return (inputs, rows % classes), (inputs[: count // 2] + 100, rows[: count // 2] % classes)


def tensors(**options: Any) -> Any:
    """The same as float tensors."""
    (x, y), (u, v) = arrays(**options)
    return (torch.tensor(x).float(), torch.tensor(y)), (torch.tensor(u).float(), torch.tensor(v))


class Rows:
    """A map-style dataset."""

    def __init__(self, inputs: Any, labels: Any) -> None:
        self.inputs = torch.as_tensor(inputs)
        self.labels = torch.as_tensor(labels)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int, /) -> Any:
        return self.inputs[index], int(self.labels[index])


def map_style(**options: Any) -> Any:
    """The same as map-style datasets."""
    return tuple(Rows(inputs, labels) for inputs, labels in arrays(**options))


def map_style_with_workers(workers: int) -> Dataset:
    """The same, read by other processes."""
    train, test = map_style()
    return from_map_style("own", train, test, workers=workers)


def nothing_useful() -> Any:
    """Not a dataset."""
    return 3


def with_nan() -> Any:
    """Inputs that are not numbers."""
    (x, y), test = tensors()
    x[7, 0, 1, 2] = float("nan")
    return (x, y), test


def domains(count: int = 4) -> Any:
    """The same two classes in several domains."""
    inputs, labels = np.arange(24, dtype=np.float32).reshape(8, 3), np.arange(8) % 2
    return [((inputs + 100 * i, labels), (inputs[:4] + 100 * i, labels[:4])) for i in range(count)]
