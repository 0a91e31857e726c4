"""Frozen parts of a model with small trainable parts, which can be switched by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn


class Adapted(nn.Module, ABC):
    """A module whose adapters are switched on by their names.

    Attributes:
        active: the names of the active adapters; none: the frozen module alone.
    """

    active: tuple[str, ...]

    def __init__(self) -> None:
        super().__init__()
        self.active = ()

    @abstractmethod
    def adapter_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters of all adapters, by their names within this module."""


class ZeroLinear(nn.Linear):
    """A linear layer whose weights start at 0, also where a strategy initialises them again."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class AdaptedLinear(Adapted):
    """A frozen linear layer with adapters, each of two small layers.

    Attributes:
        parts: names of the attributes that hold the first and the last layer of each adapter, by its name.
        base_layer: the frozen layer.
        alpha: a factor of what the adapters add.
    """

    parts: ClassVar[tuple[str, str]]

    def __init__(self, base_layer: nn.Linear, alpha: float) -> None:
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        for part in self.parts:
            self.add_module(part, nn.ModuleDict())
        self.alpha = alpha

    @abstractmethod
    def make(self, size: int, seed: int) -> tuple[nn.Linear, nn.Linear]:
        """The two layers of a new adapter, which changes nothing at first."""

    def add(self, name: str, size: int, seed: int) -> None:
        """Add an adapter and make it the active one; the others are frozen."""
        for layers, layer in zip(self.layers(), self.make(size, seed), strict=True):
            layers.requires_grad_(False)
            layers[name] = layer.to(self.base_layer.weight.device)
        self.active = (name,)

    def layers(self) -> tuple[nn.ModuleDict, nn.ModuleDict]:
        """The first layers and the last ones, by the names of the adapters."""
        first, last = (getattr(self, part) for part in self.parts)
        return first, last

    def adapter_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """See `Adapted`."""
        return [
            (f"{part}.{name}", p)
            for part, layers in zip(self.parts, self.layers(), strict=True)
            for name, p in layers.named_parameters()
        ]

    def restore(self, name: str, path: str, state: Mapping[str, Tensor]) -> None:
        """Add the adapter that a stored state has for this layer, in its size.

        Args:
            path: the layer's name in the model.

        Raises:
            ValueError: the state lacks a tensor, or one has another shape.
        """
        stored = state.get(f"{path}.{self.parts[0]}.{name}.weight")
        if stored is None or stored.dim() != 2 or not len(stored):
            raise ValueError(f"it lacks the adapter of {path!r}")
        with torch.device("meta"):
            wanted_layers = self.make(len(stored), 0)
        for part, layer in zip(self.parts, wanted_layers, strict=True):
            for tensor, wanted in layer.state_dict().items():
                found = state.get(f"{path}.{part}.{name}.{tensor}")
                if found is None:
                    raise ValueError(f"it lacks the adapter of {path!r}")
                if found.shape != wanted.shape:
                    raise ValueError(f"the adapter of {path!r} has another shape than the layer")
        self.add(name, len(stored), 0)
