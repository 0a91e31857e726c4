"""A router: which experience a sample belongs to, from frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_NAMES = ("sums", "counts", "owners", "packed")


class Router(nn.Module):
    """The probability of each experience by linear discriminant analysis of frozen features.

    Each group of samples (a class of an experience, or the whole experience) has a mean; all share a covariance. A
    sample's probability of a group is the softmax of w . z + b (Hayes & Kanan 2020, section 3), with the groups'
    shares as priors, and that of an experience the sum over its groups. The sums are those of all samples so far, in
    any order: the router is that of all data at once.

    Attributes:
        sums: (groups, d) float64: of the features of each group.
        counts: (groups,) float64: samples.
        owners: (groups,) int64: position of the experience among those that were learned.
        packed: (d (d + 1) / 2,) float64: the upper triangle of `products`, row by row: half the size in a commit.
    """

    sums: Tensor
    counts: Tensor
    owners: Tensor
    packed: Tensor

    def __init__(self, width: int, groups: int = 0, shrinkage: float = 0.05) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        self.register_buffer("sums", torch.zeros(groups, width, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(groups, dtype=torch.float64))
        self.register_buffer("owners", torch.zeros(groups, dtype=torch.int64))
        self.register_buffer("packed", torch.zeros(width * (width + 1) // 2, dtype=torch.float64))
        self.width = width
        self._weights: tuple[Tensor, Tensor, list[Tensor]] | None = None

    @property
    def products(self) -> Tensor:
        """(d, d) float64: the sum of z z^T."""
        rows, columns = torch.triu_indices(self.width, self.width, device=self.packed.device)
        whole = self.packed.new_empty(self.width, self.width)
        whole[rows, columns] = self.packed
        whole[columns, rows] = self.packed
        return whole

    def add(self, owner: int, sums: Tensor, counts: Tensor, products: Tensor) -> None:
        """The groups of a further experience; those without samples are left out."""
        there = counts > 0
        self.sums = torch.cat([self.sums, sums[there]])
        self.counts = torch.cat([self.counts, counts[there]])
        self.owners = torch.cat([self.owners, torch.full_like(self.owners, owner).new_full((int(there.sum()),), owner)])
        self.packed = self.packed + upper_triangle(products)
        self._weights = None

    def forward(self, features: Tensor) -> Tensor:
        """(n, d) to log-probabilities of the experiences, (n, experiences) float64."""
        if self._weights is None or self._weights[0].device != features.device:
            self._weights = self._discriminant()
        w, b, groups = self._weights
        log_p = (features.double() @ w.T + b).log_softmax(1)
        return torch.stack([log_p[:, own].logsumexp(1) for own in groups], 1)

    def _discriminant(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Weights and biases of the groups, and which groups each experience has."""
        means, total = self.sums / self.counts[:, None], self.counts.sum()
        within = (self.products - means.T @ (means * self.counts[:, None])) / total
        d = len(within)
        scale = (within.diagonal().sum() / d).clamp(min=1e-12)
        identity = torch.eye(d, dtype=within.dtype, device=within.device)
        w = torch.linalg.solve((1 - self.shrinkage) * within + self.shrinkage * scale * identity, means.T).T
        groups = [torch.nonzero(self.owners == owner).squeeze(1) for owner in range(int(self.owners.max()) + 1)]
        return w, (self.counts / total).log() - (means * w).sum(1) / 2, groups

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        whole = state_dict.pop(f"{prefix}products", None)  # as commits had it before it was packed
        if whole is not None:
            state_dict[f"{prefix}packed"] = upper_triangle(whole)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._weights = None


def upper_triangle(whole: Tensor) -> Tensor:
    """(d, d) to (d (d + 1) / 2,), row by row. Raises ValueError where it is no square."""
    if whole.dim() != 2 or whole.shape[0] != whole.shape[1]:
        raise ValueError("the router's products are no square")
    rows, columns = torch.triu_indices(*whole.shape, device=whole.device)
    return whole[rows, columns]


def stored_router(state: Mapping[str, Tensor], width: int, experiences: int) -> Router:
    """A router of the size of a stored state, by the names of its tensors.

    Raises:
        ValueError: the tensors do not fit together.
    """
    found = {name: state.get(name) for name in _NAMES}
    if found["packed"] is None and "products" in state:
        found["packed"] = upper_triangle(state["products"])
    groups = 0 if found["counts"] is None else len(found["counts"])
    made = Router(width, groups)
    for name, tensor in found.items():
        wanted: Tensor = getattr(made, name)
        if tensor is None or tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise ValueError(f"the router's {name} are missing or have another shape")
    owners = found["owners"]
    if owners is not None and groups and not 0 <= int(owners.min()) <= int(owners.max()) < experiences:
        raise ValueError("the router has experiences that were not learned")
    return made
