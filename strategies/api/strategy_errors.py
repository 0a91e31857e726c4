"""Errors of strategies and of the learning loop."""

from __future__ import annotations


class StrategyError(Exception):
    """A combination of strategies, or of a strategy and its setting, that cannot work. The text names the remedy."""


class NonFiniteLoss(Exception):
    """The loss became NaN or infinite.

    Attributes:
        experience: index of the experience.
        step: optimiser step within that experience, from 0.
    """

    def __init__(self, experience: int, step: int, value: float) -> None:
        super().__init__(
            f"the loss became {value} at step {step} of experience {experience}; "
            "earlier commits are kept. Lower train.optimizer.lr, or set train.clip (for example 1.0)"
        )
        self.experience = experience
        self.step = step
        self.value = value

    def __reduce__(self) -> tuple[type[NonFiniteLoss], tuple[int, int, float]]:
        return type(self), (self.experience, self.step, self.value)
