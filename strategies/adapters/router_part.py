"""The part of a router that one experience adds: sums of the features of its groups, and their scatter."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

MOST_BYTES = 24_000
"""Limit of the bytes of a part's scatter, which a commit stores with the experience's adapter."""


class RouterPart(nn.Module):
    """Statistics of the samples of one experience: each group's count, sum of features, and scatter within the groups.

    The scatter, sum over the groups of (z - mean)(z - mean)^T, is kept exactly where it takes at most `MOST_BYTES`: for
    up to 76 features. Otherwise it is approximated by a diagonal and its largest eigenvectors in 8 bits, as many as
    fit: 61 of 384.

    Attributes:
        sums: (groups, d): of the features of each group; float64, or float32 where the scatter is not exact.
        counts: (groups,) float64: samples.
        packed: (d (d + 1) / 2,) float64: the upper triangle of the scatter, row by row; empty: another part has it.
        vectors, values, rest: instead of it, (r, d) int8, (r,) float32 and (d,) float32, of which it is
            V^T diag(values) V + diag(rest).
    """

    sums: Tensor
    counts: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Of the tensors by the names of the attributes."""
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    @classmethod
    def of(cls, sums: Tensor, counts: Tensor, products: Tensor) -> RouterPart:
        """
        Args:
            sums: (groups, d) float64.
            counts: (groups,) float64; groups without samples are left out.
            products: (d, d) float64: the sum of z z^T.
        """
        sums, counts = sums[counts > 0], counts[counts > 0]
        scatter = products - sums.T @ (sums / counts[:, None])
        if is_exact(products.shape[0]):
            return cls({"sums": sums, "counts": counts, "packed": upper_triangle(scatter)})
        rank = ranks(products.shape[0])
        values, columns = torch.linalg.eigh(scatter)
        values, vectors = values[-rank:].clamp(min=0), columns[:, -rank:].T
        # An eigenvector has no sign of its own: its largest component is positive, and 127.
        largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True)) / 127
        vectors, values = (vectors / largest).round().to(torch.int8), values * largest[:, 0].square()
        rest = (scatter.diagonal() - _low_rank(vectors, values).diagonal()).clamp(min=0)
        compact = {"vectors": vectors, "values": values.float(), "rest": rest.float()}
        return cls({"sums": sums.float(), "counts": counts, **compact})

    @property
    def scatter(self) -> Tensor:
        """(d, d) float64."""
        tensors = dict(self.named_buffers())
        if "packed" in tensors:
            if not tensors["packed"].numel():
                return tensors["packed"].new_zeros(self.sums.shape[1], self.sums.shape[1])
            return symmetric(tensors["packed"], self.sums.shape[1])
        return _low_rank(tensors["vectors"], tensors["values"]) + tensors["rest"].double().diag()


def stored_part(state: Mapping[str, Tensor], prefix: str, width: int) -> RouterPart:
    """A part of the size of a stored one.

    Args:
        prefix: of its names in the state, with the dot.

    Raises:
        ValueError: the tensors do not fit together.
    """
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    groups = len(found["counts"]) if found.get("counts") is not None and found["counts"].dim() == 1 else 0
    exact = "packed" in found
    wanted = {
        "sums": torch.empty(groups, width, dtype=torch.float64 if exact else torch.float32),
        "counts": torch.empty(groups, dtype=torch.float64),
    }
    if exact:
        size = width * (width + 1) // 2 if found["packed"].numel() else 0
        wanted["packed"] = torch.empty(size, dtype=torch.float64)
    else:
        rank = len(found["values"]) if found.get("values") is not None and found["values"].dim() == 1 else 0
        wanted["vectors"] = torch.empty(min(rank, width), width, dtype=torch.int8)
        wanted["values"], wanted["rest"] = torch.empty(min(rank, width)), torch.empty(width)
    for name, tensor in wanted.items():
        there = found.get(name)
        if there is None or there.shape != tensor.shape or there.dtype != tensor.dtype:
            raise ValueError(f"the router's {name} are missing or have another shape")
    return RouterPart({name: torch.zeros_like(tensor) for name, tensor in wanted.items()})


def is_exact(width: int) -> bool:
    """Whether the scatter of so many features is kept exactly."""
    return width * (width + 1) // 2 * 8 <= MOST_BYTES


def ranks(width: int) -> int:
    """How many eigenvectors of a scatter are kept that is not kept exactly."""
    return max(1, min(width, MOST_BYTES // (width + 4)))


def upper_triangle(whole: Tensor) -> Tensor:
    """(d, d) to (d (d + 1) / 2,), row by row. Raises ValueError where it is no square."""
    if whole.dim() != 2 or whole.shape[0] != whole.shape[1]:
        raise ValueError("the router's products are no square")
    rows, columns = torch.triu_indices(*whole.shape, device=whole.device)
    return whole[rows, columns]


def symmetric(packed: Tensor, width: int) -> Tensor:
    """The inverse of `upper_triangle`."""
    rows, columns = torch.triu_indices(width, width, device=packed.device)
    whole = packed.new_empty(width, width)
    whole[rows, columns] = packed
    whole[columns, rows] = packed
    return whole


def _low_rank(vectors: Tensor, values: Tensor) -> Tensor:
    return vectors.double().T @ (vectors.double() * values.double()[:, None])
