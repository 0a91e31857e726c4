"""Tiny models, in double precision unless their name says otherwise.

What remains of a difference between two ways to compute the same is then in the method, not in rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipelines.models.global_batch_norm import convert
from tests.strategies.streams import PIXELS


class Double(nn.Module):
    """A model that computes in double precision, whatever it is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.double()

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.model(inputs.double())
        return output


def mlp(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 16), nn.ReLU(), nn.Linear(16, outputs))


def conv(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.Flatten(),
        nn.Linear(6, outputs),
    )  # fmt: skip


def batch_norm(outputs: int) -> nn.Module:
    """No bias before a normalisation: its gradient is zero but for rounding, of which Adam would make full steps."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(36, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, outputs),
    )  # fmt: skip


def dropout(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, outputs))


def frozen(outputs: int) -> nn.Module:
    model = mlp(outputs)
    model[1].requires_grad_(False)
    return model


class Unused(nn.Module):
    """Two of its layers do not reach the output: one is never called, the other one's output is thrown away."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 16), nn.ReLU(inplace=True))
        self.head = nn.Linear(16, outputs)
        self.other_head = nn.Linear(16, 5)
        self.never = nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.body(inputs)
        self.other_head(features)
        output: Tensor = self.head(features)
        return output


class Shared(nn.Module):
    """One layer is called twice, and one weight belongs to two layers."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.enter = nn.Linear(PIXELS, 8)
        self.middle = nn.Linear(8, 8)
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.middle.weight
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.enter(inputs.flatten(1)).relu()
        hidden = self.middle(self.middle(hidden).relu()).relu_()
        output: Tensor = self.head(self.norm(self.tied(hidden)).relu_())
        return output


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "mlp": lambda outputs: Double(mlp(outputs)),
    "mlp-float32": mlp,
    "conv": lambda outputs: Double(conv(outputs)),
    "batch-norm": lambda outputs: convert(Double(batch_norm(outputs))),
    "frozen": lambda outputs: Double(frozen(outputs)),
    "unused": lambda outputs: Double(Unused(outputs)),
    "shared": lambda outputs: Double(Shared(outputs)),
    "dropout": lambda outputs: Double(dropout(outputs)),
}


def build(name: str, outputs: int) -> nn.Module:
    """The model, with the same weights every time; torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return MODELS[name](outputs)
