"""A loss that became NaN or infinite ends the experience, on every rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from strategies.api.strategy_errors import NonFiniteLoss
from strategies.loop.sharded_model import whole

EVERY = 50


class FiniteLoss:
    """Raises NonFiniteLoss for the first loss that is not finite.

    On a GPU losses are read many at a time, so that training does not wait for each.
    """

    def __init__(self, experience: int, device: torch.device) -> None:
        self._experience = experience
        self._waits = device.type != "cpu"
        self._seen: list[tuple[int, Tensor]] = []

    def check(self, loss: Tensor, step: int, averaged: Sequence[nn.Parameter]) -> None:
        """Look at a step's loss.

        Args:
            loss: this rank's part of the global loss, 0-dim.
            averaged: with several ranks, parameters whose gradients are averaged over all ranks.
        """
        # A rank whose own part is finite sees a NaN of another rank in the gradients, and ends too instead of waiting.
        last = next((p.grad for p in reversed(averaged) if p.grad is not None), None)
        if last is not None:
            loss = loss + 0 * whole(last.sum())
        if self._waits:
            self._seen.append((step, loss))
            if len(self._seen) >= EVERY:
                self.settle()
        elif not math.isfinite(value := loss.item()):
            raise NonFiniteLoss(self._experience, step, value)

    def settle(self) -> None:
        """Check the losses that have not been read yet."""
        if not self._seen:
            return
        values = torch.stack([loss for _, loss in self._seen]).tolist()
        for (step, _), value in zip(self._seen, values, strict=True):
            if not math.isfinite(value):
                raise NonFiniteLoss(self._experience, step, value)
        self._seen.clear()
