"""Which layers multiply a normalised input by their weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from strategies.importance.scalings import may_scale, scales, slope


class ShiftedNorm(nn.Module):
    """As in Gemma: (1 + w) times the input; with `power` 2 no longer linear in w."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.weight, self.power = nn.Parameter(torch.zeros(3)), power

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * (1 + self.weight) ** self.power


def test_a_layer_is_known_by_what_it_does() -> None:
    inputs = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    one, two = ShiftedNorm(1), ShiftedNorm(2)
    assert may_scale(one) and scales(one, inputs) and not scales(two, inputs)
    torch.testing.assert_close(slope(one, inputs), inputs)
    assert not may_scale(nn.Linear(3, 3)) and not may_scale(nn.LayerNorm(3))
