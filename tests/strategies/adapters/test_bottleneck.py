"""Bottleneck adapters behind frozen layers.

Covers: `strategies/adapters/adapted_linear.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from strategies.adapters.bottleneck import BottleneckLinear


def test_an_adapter_is_the_identity_at_first_and_then_adds_what_its_bottleneck_says() -> None:
    torch.manual_seed(0)
    base, inputs = nn.Linear(5, 7), torch.randn(4, 3, 5)
    layer = BottleneckLinear(base, 1.0)
    layer.add("a", 2, seed=1)
    assert torch.equal(layer(inputs), base(inputs))
    down, up = layer.adapter_down["a"], layer.adapter_up["a"]
    for tensor in (up.weight, up.bias):
        nn.init.normal_(tensor)  # type: ignore[arg-type]
    hidden = base(inputs)
    expected = hidden + F.gelu(hidden @ down.weight.T + down.bias) @ up.weight.T + up.bias  # type: ignore[operator]
    torch.testing.assert_close(layer(inputs), expected)
    layer.active = ()
    assert torch.equal(layer(inputs), hidden)
    learning = {name for name, p in layer.named_parameters() if p.requires_grad}
    assert learning == {name for name, _ in layer.adapter_parameters()} and len(learning) == 4
