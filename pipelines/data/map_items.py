"""The items of a map-style dataset, as a DataLoader takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipelines.config.pipeline_errors import DataError


class MapStyle(Protocol):
    """A map-style torch dataset: sample i is (input, label, ...)."""

    def __getitem__(self, index: int, /) -> Any: ...

    def __len__(self) -> int: ...


class Positions:
    """Index tensors as lists for a DataLoader, one per batch, each made when it is needed."""

    def __init__(self, indices: Iterable[Tensor]) -> None:
        self.indices = indices

    def __iter__(self) -> Iterator[list[int]]:
        return (index.tolist() for index in self.indices)


class MapItems(Dataset[tuple[int, Tensor]]):
    """Item i: (i, input at row i)."""

    def __init__(self, dataset: MapStyle, rows: Tensor | None) -> None:
        self.dataset = dataset
        self.rows = rows

    def __getitem__(self, position: int) -> tuple[int, Tensor]:
        return position, self._input(position if self.rows is None else int(self.rows[position]))

    def _input(self, row: int) -> Tensor:
        try:
            value = self.dataset[row][0]
            return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        except (TypeError, KeyError) as error:
            raise DataError(f"sample {row} of the dataset is not (tensor or array, label): {error}") from error

    def collate(self, items: list[tuple[int, Tensor]]) -> tuple[Tensor, Tensor]:
        """Positions (m,) and inputs (m, *shape)."""
        first = items[0][1] if items else self._input(0)
        for _, value in items:
            if value.shape != first.shape or value.dtype != first.dtype:
                raise DataError(
                    "the dataset's inputs differ in shape or dtype: "
                    f"{tuple(first.shape)} {first.dtype} and {tuple(value.shape)} {value.dtype}"
                )
        positions = torch.tensor([position for position, _ in items], dtype=torch.int64)
        return positions, torch.stack([value for _, value in items]) if items else first.new_empty((0, *first.shape))
