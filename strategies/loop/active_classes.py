"""Which output units take part in an experience: all of them, or in a task-incremental stream those of its task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.api.data import Experience


class ActiveClasses:
    """The active output units of each experience.

    Args:
        outputs: units of the model's head.
        device: where the model lives.
    """

    def __init__(self, outputs: int, device: torch.device) -> None:
        self._outputs, self._device = outputs, device
        self._masks: Tensor | None = None

    def remember(self, experiences: Sequence[Experience]) -> None:
        """Keep the active units of `experiences`; all units are active in each where none restricts them."""
        if all(e.outputs is None for e in experiences):
            self._masks = None
            return
        masks = torch.zeros(max(e.index for e in experiences) + 1, self._outputs, dtype=torch.bool)
        for e in experiences:
            masks[e.index, list(range(self._outputs) if e.outputs is None else e.outputs)] = True
        self._masks = masks.to(self._device)

    def of(self, experiences: Tensor) -> Tensor | None:
        """(n, outputs) bool: the active units for each sample's experience, (n,) int64; None where all are."""
        return None if self._masks is None else self._masks[experiences]

    def masked(self, output: Tensor, experiences: Tensor) -> Tensor:
        """`output`, (n, outputs), with the units that are not active for a sample's experience, (n,) int64, at -inf."""
        active = self.of(experiences)
        return output if active is None else output.masked_fill(~active, -math.inf)

    def units(self, experience: Experience) -> Tensor:
        """The active units of one experience, ascending int64."""
        if experience.outputs is None:
            return torch.arange(self._outputs, device=self._device)
        return torch.tensor(sorted(experience.outputs), device=self._device)
