"""Small models for the tests, with an example of their input."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def small_model() -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
        return model, torch.rand(5, 1, 4, 4)


class Wayward(nn.Module):
    """A module that torch.export refuses: what it computes depends on the values in its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x[: int(x.abs().sum())]


def wayward_model() -> tuple[nn.Module, Tensor]:
    return Wayward(), torch.rand(3, 4)
