"""Several sample sets as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from strategies.api.data import Samples, in_blocks


def joined_samples(parts: Sequence[Samples], experiences: Sequence[int | Tensor]) -> Samples:
    """Several sets of samples one behind the other, with an attribute `experiences`; read by blocks if one of them is.

    Args:
        parts, experiences: as in `JoinedSamples`.
    """
    first = next((part for part in parts if in_blocks(part)), None)
    return JoinedSamples(parts, experiences) if first is None else first.joined(parts, experiences)


class JoinedSamples:
    """Several sets of samples, one behind the other.

    Attributes:
        ids, targets: (n,) int64.
        experiences: (n,) int64, the experience each sample comes from.
    """

    def __init__(self, parts: Sequence[Samples], experiences: Sequence[int | Tensor]) -> None:
        """
        Args:
            parts: at least one.
            experiences: for each part the experience that it comes from: one for the part, or (n,) int64 for its
                samples.
        """
        self._parts = list(parts)
        lengths = torch.tensor([len(p) for p in self._parts])
        self._starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        self.ids = torch.cat([p.ids for p in self._parts])
        self.targets = torch.cat([p.targets for p in self._parts])
        self.experiences = torch.cat(
            [torch.as_tensor(e).expand(len(part)) for e, part in zip(experiences, parts, strict=True)]
        )

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """As `Samples.take`; positions count through all parts."""
        part_of = torch.bucketize(index, self._starts[1:], right=True)
        inputs: Tensor | None = None
        for number in part_of.unique().tolist():
            where = (part_of == number).nonzero().squeeze(1)
            taken, _ = self._parts[number].take(index[where] - self._starts[number])
            if inputs is None:
                inputs = taken.new_empty((len(index), *taken.shape[1:]))
            inputs[where] = taken
        if inputs is None:
            inputs = self._parts[0].take(index)[0]
        return inputs, self.targets[index]

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Samples.batches`, without reading ahead."""
        return (self.take(index) for index in indices)
