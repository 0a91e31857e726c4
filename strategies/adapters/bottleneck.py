"""Bottleneck adapters: a small network behind a frozen linear layer, with a skip connection around it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from strategies.adapters.adapted_linear import AdaptedLinear, ZeroLinear
from strategies.networks.reinitialize import drawn


class BottleneckLinear(AdaptedLinear):
    """A linear layer with adapters behind it: h = W x + b, then h + alpha (U gelu(D h + d) + u) (Houlsby et al. 2019).

    D is drawn and U and u are 0 at first, so that a new adapter is the identity. Active adapters follow one another.

    Attributes:
        adapter_down, adapter_up: the layers D, (size, outputs), and U, (outputs, size), of each adapter by its name.
    """

    parts = ("adapter_down", "adapter_up")
    adapter_down: nn.ModuleDict
    adapter_up: nn.ModuleDict

    def make(self, size: int, seed: int) -> tuple[nn.Linear, nn.Linear]:
        """D and U of width `size`."""
        width, dtype = self.base_layer.out_features, self.base_layer.weight.dtype
        return drawn(lambda: nn.Linear(width, size, dtype=dtype), seed), ZeroLinear(size, width, dtype=dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, ..., inputs) to (n, ..., outputs)."""
        output: Tensor = self.base_layer(inputs)
        for name in self.active:
            output = output + self.alpha * self.adapter_up[name](F.gelu(self.adapter_down[name](output)))
        return output
