"""Averages of weights and of their changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def ema(before: Tensor, after: Tensor, weight: float) -> Tensor:
    """(1 - weight) * before + weight * after."""
    return before.lerp(after, weight)


def trimmed(change: Tensor, density: float) -> Tensor:
    """The share `density` of a tensor's numbers with the largest magnitudes, the others 0 (Yadav et al. 2023)."""
    flat = change.flatten()
    kept = flat.abs().topk(int(density * flat.numel())).indices
    return torch.zeros_like(flat).index_copy_(0, kept, flat[kept]).view_as(change)


def sums_of_task_vectors(changes: Sequence[Tensor]) -> dict[str, Tensor]:
    """The sums and the numbers of the `positive` and of the `negative` changes of each weight.

    Those of further changes can be added to them.
    """
    zero = torch.zeros_like(changes[0])
    return {
        "positive": sum((change.clamp(min=0) for change in changes), zero),
        "negative": sum((change.clamp(max=0) for change in changes), zero),
        "positives": sum(((change > 0).to(zero) for change in changes), zero),
        "negatives": sum(((change < 0).to(zero) for change in changes), zero),
    }


def ties(sums: Mapping[str, Tensor]) -> Tensor:
    """The mean of the changes that have the sign of their sum, from `sums_of_task_vectors` of trimmed ones."""
    up = sums["positive"] + sums["negative"] >= 0
    total = torch.where(up, sums["positive"], sums["negative"])
    return total / torch.where(up, sums["positives"], sums["negatives"]).clamp(min=1)
