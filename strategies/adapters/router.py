"""A router: which experience a sample belongs to, from frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from strategies.adapters.router_part import RouterPart, stored_part, symmetric, upper_triangle
from strategies.networks.stored_structure import stored_count

_PARTS = "parts"


class Router(nn.Module):
    """The probability of each experience by linear discriminant analysis of frozen features.

    Each group of samples (a class of an experience, or the whole experience) has a mean; all share a covariance. A
    sample's probability of a group is the softmax of w . z + b (Hayes & Kanan 2020, section 3), with the groups'
    shares as priors; the probability of an experience is the sum over its groups. The part of an experience never
    changes again, and the covariance is the sum over all parts. So the router equals one fitted on all data at once, up
    to the precision of the stored scatter (`RouterPart`).

    Attributes:
        parts: one for each experience that was learned, oldest first.
    """

    def __init__(self, width: int, shrinkage: float = 0.05) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        self.parts = nn.ModuleList()
        self.width = width
        self._weights: tuple[Tensor, Tensor, list[Tensor]] | None = None

    @property
    def sums(self) -> Tensor:
        """(groups, d) float64: of the features of each group."""
        return torch.cat([part.sums.double() for part in self._parts()])

    @property
    def counts(self) -> Tensor:
        """(groups,) float64: samples of each group."""
        return torch.cat([part.counts for part in self._parts()])

    @property
    def owners(self) -> Tensor:
        """(groups,) int64: the position of each group's experience among those that were learned."""
        return torch.cat([torch.full_like(p.counts, k, dtype=torch.int64) for k, p in enumerate(self._parts())])

    @property
    def scatter(self) -> Tensor:
        """(d, d) float64: the sum of (z - mean)(z - mean)^T, with the mean of the sample's group."""
        return torch.stack([part.scatter for part in self._parts()]).sum(0)

    def add(self, sums: Tensor, counts: Tensor, products: Tensor) -> None:
        """The groups of a further experience; arguments as in `RouterPart.of`."""
        self.parts.append(RouterPart.of(sums, counts, products))
        self._weights = None

    def forward(self, features: Tensor) -> Tensor:
        """(n, d) to log-probabilities of the experiences, (n, experiences) float64."""
        if self._weights is None or self._weights[0].device != features.device:
            self._weights = self._discriminant()
        w, b, groups = self._weights
        log_p = (features.double() @ w.T + b).log_softmax(1)
        return torch.stack([log_p[:, own].logsumexp(1) for own in groups], 1)

    def _parts(self) -> list[RouterPart]:
        return [part for part in self.parts if isinstance(part, RouterPart)]

    def _discriminant(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Weights and biases of the groups, and which groups each experience has."""
        counts, owners = self.counts, self.owners
        means, total = self.sums / counts[:, None], counts.sum()
        within = self.scatter / total
        d = len(within)
        scale = (within.diagonal().sum() / d).clamp(min=1e-12)
        identity = torch.eye(d, dtype=within.dtype, device=within.device)
        w = torch.linalg.solve((1 - self.shrinkage) * within + self.shrinkage * scale * identity, means.T).T
        groups = [torch.nonzero(owners == owner).squeeze(1) for owner in range(len(self.parts))]
        return w, (counts / total).log() - (means * w).sum(1) / 2, groups

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        own = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
        for name in own:
            del state_dict[prefix + name]
        state_dict.update({prefix + name: tensor for name, tensor in in_parts(own).items()})
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._weights = None


def stored_router(state: Mapping[str, Tensor], width: int, experiences: int) -> Router:
    """A router of the size of a stored state, by the names of its tensors.

    Raises:
        ValueError: the tensors do not fit together.
    """
    state = in_parts(state)
    made, count = Router(width), stored_count(state, _PARTS)
    if count > experiences:
        raise ValueError("the router has experiences that were not learned")
    for part in range(count):
        made.parts.append(stored_part(state, f"{_PARTS}.{part}.", width))
    return made


def in_parts(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A router's state with a part for each experience; one with sums over all of them has its scatter in the first.

    Raises:
        ValueError: the tensors do not fit together.
    """
    if "sums" not in state:
        return dict(state)
    sums, counts, owners = state["sums"], state.get("counts"), state.get("owners")
    if counts is None or owners is None or sums.dim() != 2 or not len(sums) == len(counts) == len(owners):
        raise ValueError("the router's sums are missing or have another shape")
    width = sums.shape[1]
    products = state["products"] if "products" in state else _whole(state.get("packed"), width)
    if products.shape != (width, width):
        raise ValueError("the router's products are no square of its features")
    scatter = products - sums.T @ (sums / counts[:, None])
    made: dict[str, Tensor] = {}
    for owner in owners.unique().tolist():
        here = owners == owner
        packed = upper_triangle(scatter) if owner == 0 else scatter.new_zeros(0)
        for name, tensor in {"sums": sums[here], "counts": counts[here], "packed": packed}.items():
            made[f"{_PARTS}.{owner}.{name}"] = tensor
    return made


def _whole(packed: Tensor | None, width: int) -> Tensor:
    if packed is None or packed.shape != (width * (width + 1) // 2,):
        raise ValueError("the router's packed are missing or have another shape")
    return symmetric(packed, width)
