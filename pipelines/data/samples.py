"""Labelled samples: tensors in memory, and map-style datasets read through a DataLoader.

Both are views: a subset shares what it was taken from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pipelines.config.pipeline_errors import DataError
from pipelines.data.map_items import MapItems, MapStyle, Positions
from pipelines.data.zero_copy import Packed, pack, unpack
from strategies.api.data import Samples

InputTransform = Callable[[Tensor], Tensor]

CHUNK = 4096
"""Samples that are read at a time when a whole set is read, to limit memory."""


class StoredSamples(Samples, Protocol):
    """Samples that can be narrowed down and transformed: what datasets are made of."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        ...

    @property
    def content_fingerprint(self) -> str | None:
        """Identifies the content of the whole underlying dataset when that is too large to be read; else None."""
        ...

    def subset(self, index: Tensor, targets: Tensor | None = None, ids: Tensor | None = None) -> StoredSamples:
        """The samples at the positions `index`, (m,) int64, with new targets or ids, (m,) int64, if given."""
        ...

    def transformed(self, transform: InputTransform) -> StoredSamples:
        """The same samples with `transform` applied to batches of inputs; it keeps shape and dtype."""
        ...


def chunks(count: int) -> Iterator[Tensor]:
    """The positions 0..count-1 in order, CHUNK at a time."""
    return (torch.arange(part.start, part.stop) for part in slices(count))


def slices(count: int) -> Iterator[slice]:
    """As `chunks`, as slices."""
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def _targets(values: Tensor, count: int) -> Tensor:
    """Classes (n,) as int64; columns of numbers or labels, (n, k), and tokens, (n, length), as they are."""
    if values.dim() == 2 and values.dtype in (torch.float64, torch.uint8, torch.int32):
        if len(values) != count:
            raise DataError(f"{count} samples need as many targets, got {len(values)}")
        return values.contiguous()
    return _labels("targets", values, count)


def _labels(name: str, values: Tensor | None, count: int) -> Tensor:
    values = torch.arange(count) if values is None else values.to(torch.int64)
    if values.shape != (count,):
        raise DataError(f"{count} samples need {name} of shape ({count},), got {tuple(values.shape)}")
    return values.contiguous()


class TensorSamples:
    """Samples in memory, inputs in their stored dtype.

    Works on read-only memory. Pickled through numpy, so that processes of one node share one copy; a pickled view
    carries its own rows only.

    Args:
        inputs: (N, *shape).
        targets: (n,) integers, or columns: (n, k) float64 or uint8.
        ids: (n,) integers; default: 0..n-1.
        rows: (n,) int64, the rows of `inputs` to use; default: all of them.

    Raises:
        DataError: the lengths do not agree.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, ids: Tensor | None = None, rows: Tensor | None = None) -> None:
        count = int(inputs.shape[0] if rows is None else rows.shape[0])
        self._inputs = inputs
        self._rows = rows
        self._targets = _targets(targets, count)
        self._ids = _labels("ids", ids, count)

    @property
    def ids(self) -> Tensor:
        return self._ids

    @property
    def targets(self) -> Tensor:
        return self._targets

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self._inputs.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """The stored dtype of the inputs."""
        return self._inputs.dtype

    @property
    def content_fingerprint(self) -> str | None:
        return None

    def __len__(self) -> int:
        return int(self._targets.shape[0])

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        rows = index if self._rows is None else self._rows.index_select(0, index)
        return self._inputs.index_select(0, rows), self._targets.index_select(0, index)

    @property
    def bytes(self) -> int:
        """Bytes of its own samples in memory, without those that a view leaves out."""
        row = self._inputs.element_size() * math.prod(self.input_shape)
        return len(self) * row + self._targets.nbytes + self._ids.nbytes

    def alone(self) -> TensorSamples:
        """The same samples without those of others, which a view keeps in memory."""
        return self if self._rows is None else TensorSamples(self.inputs(), self._targets, self._ids)

    def inputs(self, part: slice = slice(None)) -> Tensor:
        """The inputs at some positions, (n, *shape), for reading; by default all."""
        return self._inputs[part] if self._rows is None else self._inputs.index_select(0, self._rows[part])

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        return map(self.take, indices)

    def subset(self, index: Tensor, targets: Tensor | None = None, ids: Tensor | None = None) -> TensorSamples:
        """A view: the inputs are not copied."""
        return TensorSamples(
            self._inputs,
            self._targets.index_select(0, index) if targets is None else targets,
            self._ids.index_select(0, index) if ids is None else ids,
            index if self._rows is None else self._rows.index_select(0, index),
        )

    def transformed(self, transform: InputTransform) -> TransformedSamples:
        """Transforms all inputs when the first is taken: one experience is in memory, and later epochs are free."""
        return TransformedSamples(self, transform)

    def __getstate__(self) -> tuple[Packed, Packed, Packed]:
        return pack(self.inputs()), pack(self._targets), pack(self._ids)

    def __setstate__(self, state: tuple[Packed, Packed, Packed]) -> None:
        self._inputs, self._targets, self._ids = (unpack(packed) for packed in state)
        self._rows = None


class TransformedSamples:
    """Samples in memory under a transform; their inputs are made when the first is taken, and kept.

    Args:
        source: the samples as they are stored.
        transform: of inputs (m, *shape); keeps shape and dtype.
    """

    def __init__(self, source: StoredSamples, transform: InputTransform) -> None:
        self._source = source
        self._transform = transform
        self._made: TensorSamples | None = None

    @property
    def ids(self) -> Tensor:
        return self._source.ids

    @property
    def targets(self) -> Tensor:
        return self._source.targets

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._source.input_shape

    @property
    def content_fingerprint(self) -> str | None:
        return None

    def __len__(self) -> int:
        return len(self._source)

    @property
    def bytes(self) -> int:
        """Bytes of the samples in memory, once their inputs are made."""
        row = self._source.take(torch.arange(0))[0].element_size() * math.prod(self.input_shape)
        return len(self) * row + self.targets.nbytes + self.ids.nbytes

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self._samples().take(index)

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        return self._samples().batches(indices)

    def subset(self, index: Tensor, targets: Tensor | None = None, ids: Tensor | None = None) -> StoredSamples:
        """A view; inputs that are not transformed yet are only transformed for the samples of the view."""
        if self._made is not None:
            return self._made.subset(index, targets, ids)
        return TransformedSamples(self._source.subset(index, targets, ids), self._transform)

    def transformed(self, transform: InputTransform) -> TransformedSamples:
        return TransformedSamples(self, transform)

    def _samples(self) -> TensorSamples:
        if self._made is None:
            inputs = self._source.take(torch.arange(0))[0].new_empty((len(self), *self.input_shape))
            for index in chunks(len(self)):
                inputs[index[0] : index[-1] + 1] = self._transform(self._source.take(index)[0])
            self._made = TensorSamples(inputs, self.targets, self.ids)
        return self._made


class MapSamples:
    """Samples of a map-style dataset, read when they are needed.

    Args:
        dataset: its item i is (input, label, ...); inputs are tensors or arrays of one shape and dtype.
        targets: (n,) integers, or columns: (n, k) float64 or uint8: used instead of the dataset's own labels.
        ids: (n,) integers; default: 0..n-1.
        rows: (n,) int64, the items to use; default: all of them.
        transform: applied to each batch of inputs.
        workers: processes that read ahead; 0 reads in this process.

    Raises:
        DataError: the lengths do not agree.
    """

    def __init__(
        self,
        dataset: MapStyle,
        targets: Tensor,
        ids: Tensor | None = None,
        rows: Tensor | None = None,
        *,
        transform: InputTransform | None = None,
        workers: int = 0,
    ) -> None:
        count = len(dataset) if rows is None else int(rows.shape[0])
        self._dataset = dataset
        self._rows = rows
        self._targets = _targets(targets, count)
        self._ids = _labels("ids", ids, count)
        self._transform = transform
        self._workers = workers
        self._passes = 0

    @property
    def ids(self) -> Tensor:
        return self._ids

    @property
    def targets(self) -> Tensor:
        return self._targets

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.take(torch.tensor([0]))[0].shape[1:])

    @property
    def content_fingerprint(self) -> str | None:
        """The dataset's attribute `fingerprint`, if it has one."""
        value = getattr(self._dataset, "fingerprint", None)
        return None if value is None else str(value)

    def __len__(self) -> int:
        return int(self._targets.shape[0])

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return next(self._read([index], 0))

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        return self._read(indices, self._workers)

    def _read(self, indices: Iterable[Tensor], workers: int) -> Iterator[tuple[Tensor, Tensor]]:
        # Without a generator of its own the DataLoader would draw from the global one, and with a constant one every
        # epoch would be augmented alike.
        generator = torch.Generator().manual_seed(self._passes)
        self._passes += 1
        items = MapItems(self._dataset, self._rows)
        loader: DataLoader[Any] = DataLoader(
            items,
            batch_sampler=Positions(indices),
            collate_fn=items.collate,
            num_workers=workers,
            generator=generator,
        )
        for positions, inputs in loader:
            if self._transform is not None:
                inputs = self._transform(inputs)
            yield inputs, self._targets.index_select(0, positions)

    def subset(self, index: Tensor, targets: Tensor | None = None, ids: Tensor | None = None) -> MapSamples:
        """A view of the same dataset."""
        return MapSamples(
            self._dataset,
            self._targets.index_select(0, index) if targets is None else targets,
            self._ids.index_select(0, index) if ids is None else ids,
            index if self._rows is None else self._rows.index_select(0, index),
            transform=self._transform,
            workers=self._workers,
        )

    def transformed(self, transform: InputTransform) -> MapSamples:
        """Transforms each batch when it is read."""
        first = self._transform
        return MapSamples(
            self._dataset,
            self._targets,
            self._ids,
            self._rows,
            transform=transform if first is None else lambda inputs: transform(first(inputs)),
            workers=self._workers,
        )
