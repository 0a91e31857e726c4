"""Models as people write them: each breaks, or seems to break, one promise that the built-in ones keep."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


class Returning(nn.Module):
    """Returns its logits in many ways."""

    def __init__(self, inputs: int, outputs: int, kind: str) -> None:
        super().__init__()
        self.body, self.head, self.kind = nn.Linear(inputs, 16), nn.Linear(16, outputs), kind

    def forward(self, x: Tensor) -> Any:
        features = torch.relu(self.body(x.flatten(1)))
        logits = self.head(features)
        match self.kind:
            case "tuple":
                return logits, features
            case "in-training":
                return (logits, features) if self.training else logits
            case "dict":
                return {"features": features, "logits": logits}
            case "object":
                return SimpleNamespace(logits=logits, hidden=features)
            case "unnamed":
                return {"features": features, "answer": logits}
            case "short":
                return logits[:, :-1]
            case "long":
                return torch.cat([logits, logits], 1)
            case "flat":
                return logits.sum(1)
        return logits


class Normed(nn.BatchNorm1d):
    """Batch normalisation with an activation, through torch's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        return torch.relu(super().forward(input))


class NormedAlone(nn.BatchNorm1d):
    """The same, all by itself."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        mean, var = self.running_mean, self.running_var
        return torch.relu(F.batch_norm(input, mean, var, self.weight, self.bias, self.training, 0.1, self.eps))


class Centre(nn.Module):
    """A running mean of its inputs."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.lerp_(x.detach().mean(0), 0.1)
        return x - self.mean


class Counted(nn.Linear):
    """Keeps a dict in its state."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 0}

    def set_extra_state(self, state: dict[str, int]) -> None:
        pass


class Hidden(nn.Linear):
    """Its answers depend on a number that its state does not hold."""

    scale = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale += 1.0
        return super().forward(x) + self.scale


def build(shape: tuple[int, ...], outputs: int, kind: str) -> nn.Module:
    pixels = int(np.prod(shape))
    if kind == "double":
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, outputs)).double()
    if kind == "bfloat16":
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, outputs)).bfloat16()
    if kind in ("numpy", "random", "generator"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, outputs))
        drawn = {"numpy": np.random.rand, "random": random.random, "generator": np.random.default_rng().random}[kind]()
        nn.init.constant_(model[1].weight, drawn)
        return model
    layers: dict[str, Any] = {
        "batchnorm": lambda: nn.Sequential(nn.BatchNorm1d(16), nn.ReLU()),
        "subclass": lambda: Normed(16),
        "alone": lambda: NormedAlone(16),
        "no-statistics": lambda: nn.BatchNorm1d(16, track_running_stats=False),
        "buffer": lambda: Centre(16),
        "instance": lambda: nn.Sequential(
            nn.Unflatten(1, (2, 8)), nn.InstanceNorm1d(2, affine=True, track_running_stats=True), nn.Flatten()
        ),
        "extra-state": lambda: Counted(16, 16),
        "hidden-state": lambda: Hidden(16, 16),
        "weight-norm": lambda: weight_norm(nn.Linear(16, 16)),
        "spectral-norm": lambda: spectral_norm(nn.Linear(16, 16)),
    }
    if kind in layers:
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 16), layers[kind](), nn.Linear(16, outputs))
    return Returning(pixels, outputs, kind)
