"""A copy of a network with newly drawn weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container
from typing import TypeVar

import torch
from torch import nn

from strategies.api.strategy_errors import StrategyError

M = TypeVar("M")


def learned_parameters(model: nn.Module) -> frozenset[str]:
    """The names of the parameters that training changes."""
    return frozenset(name for name, p in model.named_parameters() if p.requires_grad)


def drawn(make: Callable[[], M], seed: int) -> M:
    """The result of `make` on the CPU, with random numbers from `seed` alone; torch's own generator is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


def redrawn(model: nn.Module, learned: Container[str], seed: int, who: str) -> nn.Module:
    """A copy of the model on the CPU whose learned weights are drawn anew: each layer by its own `reset_parameters`.

    What is not learned (pretrained layers, constants) is copied; running statistics start anew.

    Args:
        learned: names of the parameters that training changes; they require gradients in the copy.
        seed: seed of the weights.
        who: the strategy's name, for the error.

    Raises:
        StrategyError: a layer cannot draw its weights.
    """
    fresh = copy.deepcopy(model).cpu()
    drawn(lambda: _draw(fresh, learned, who), seed)
    for name, p in fresh.named_parameters():
        p.requires_grad_(name in learned)
    return fresh


def _draw(model: nn.Module, learned: Container[str], who: str) -> None:
    for path, layer in model.named_modules():
        own = [f"{path}.{name}" if path else name for name, _ in layer.named_parameters(recurse=False)]
        if any(name in learned for name in own):
            draw = getattr(layer, "reset_parameters", None) or getattr(layer, "_reset_parameters", None)
            if draw is None:
                kind = type(layer).__name__
                raise StrategyError(
                    f"{who} needs fresh copies of the model, and {kind} ({path or 'the model'}) holds parameters that "
                    "it cannot draw anew: give it a method reset_parameters()"
                )
            draw()
        elif not own and hasattr(layer, "reset_running_stats"):
            layer.reset_running_stats()
