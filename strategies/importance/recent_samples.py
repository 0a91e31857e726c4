"""The samples of the last steps, held until they are read."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from strategies.api.data import Samples

_NAMES = ("inputs", "targets", "experiences")


class Window:
    """Samples of the last steps, in their order, the same on every rank.

    Attributes:
        steps: number of steps whose samples are held.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._held: dict[str, list[Tensor]] = {name: [] for name in _NAMES}

    def add(self, samples: Samples, positions: Tensor, experience: int) -> None:
        """Add the samples of a step.

        Args:
            positions: (m,) int64, of the samples to hold.
            experience: the experience that they come from, unless `samples` has one for each sample.
        """
        self.steps += 1
        if not len(positions):
            return
        inputs, targets = samples.take(positions)
        origin: Tensor | None = getattr(samples, "experiences", None)
        experiences = torch.full((len(positions),), experience) if origin is None else origin[positions]
        for name, value in zip(_NAMES, (inputs, targets, experiences), strict=True):
            self._held[name].append(value)

    def take(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs in stored dtype, (n, *shape), targets and experiences, (n,) int64; the window begins anew."""
        inputs, targets, experiences = (torch.cat(self._held[name]) for name in _NAMES)
        self.steps, self._held = 0, {name: [] for name in _NAMES}
        return inputs, targets, experiences

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors by `window.<name>`; none when it has just begun."""
        if not self.steps:
            return {}
        held = {f"window.{name}": torch.cat(parts) for name, parts in self._held.items() if parts}
        return {"window.steps": torch.tensor(self.steps), **held}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` returned."""
        self.steps = int(state.get("window.steps", torch.tensor(0)))
        self._held = {name: [state[f"window.{name}"].cpu()] if f"window.{name}" in state else [] for name in _NAMES}
