"""What an observer of the learning loop gets after each optimiser step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class StepReport:
    """One optimiser step.

    Attributes:
        step: steps done in the experience, from 1.
        steps: steps of the experience.
        samples: samples of the global batch, replayed ones included.
        loss: of the global batch, as a 0-dim tensor on the device: this rank's part of it.
    """

    step: int
    steps: int
    samples: int
    loss: Tensor


Listener = Callable[[StepReport], None]
