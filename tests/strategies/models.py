"""Tiny models, in double precision unless their name says otherwise.

What remains of a difference between two ways to compute the same is then in the method, not in rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipelines.models.freeze import freeze, frozen_parameters, keep_statistics
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


def frozen_batch_norm(outputs: int) -> nn.Module:
    """The first layer and its normalisation are frozen, and its running statistics with them."""
    model = convert(batch_norm(outputs))
    names = frozen_parameters(model, ["0.*", "1.*"])
    freeze(model, names)
    keep_statistics(model, names)
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


class Demanding(nn.Module):
    """It cannot run on nothing, squeezes a batch of one in training, and has a branch for evaluation alone."""

    def __init__(self, outputs: int, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain
        self.body = nn.Linear(PIXELS, 16)
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, outputs)
        self.calibration = nn.Linear(outputs, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.norm(self.body(inputs.view(inputs.size(0), -1))).relu()
        output: Tensor = self.head(features)
        if self.plain:
            return output
        return output.squeeze() if self.training else self.calibration(output)


class StochasticDepth(nn.Module):
    """Each block is left out of about half of all passes."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.enter = nn.Linear(PIXELS, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.head = nn.Linear(8, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.enter(inputs.flatten(1))
        for block in self.blocks:
            if not (self.training and torch.rand(()).item() < 0.5):
                hidden = hidden + block(hidden).relu()
        output: Tensor = self.head(hidden)
        return output


class TinyLM(nn.Module):
    """A causal language model: each position sees the mean of the embeddings so far. Padding is -1."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, 6)
        self.mix = nn.Linear(12, 10)
        self.norm = nn.LayerNorm(10)
        self.head = nn.Linear(10, tokens, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens >= 0)[:, :, None]
        own = self.embedding(tokens.clamp(min=0).long()) * there
        before = own.cumsum(1) / torch.arange(1, tokens.shape[1] + 1)[:, None]
        hidden = self.norm(self.mix(torch.cat([own, before], 2)).relu())
        logits: Tensor = self.head(hidden)
        return logits.masked_fill(~there, 0.0).transpose(1, 2)


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "mlp": lambda outputs: Double(mlp(outputs)),
    "mlp-float32": mlp,
    "conv": lambda outputs: Double(conv(outputs)),
    "batch-norm": lambda outputs: convert(Double(batch_norm(outputs))),
    "frozen": lambda outputs: Double(frozen(outputs)),
    "frozen-batch-norm": lambda outputs: Double(frozen_batch_norm(outputs)),
    "unused": lambda outputs: Double(Unused(outputs)),
    "shared": lambda outputs: Double(Shared(outputs)),
    "demanding": lambda outputs: convert(Double(Demanding(outputs))),
    "demanding-plain": lambda outputs: convert(Double(Demanding(outputs, plain=True))),
    "stochastic-depth": lambda outputs: Double(StochasticDepth(outputs)),
    "dropout": lambda outputs: Double(dropout(outputs)),
    "language": lambda outputs: TinyLM(outputs).double(),
}


def build(name: str, outputs: int) -> nn.Module:
    """The model, with the same weights every time; torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return MODELS[name](outputs)
