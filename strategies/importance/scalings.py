"""Layers that multiply a normalised input by their weights, feature by feature: RMS normalisations of other libraries.

Such a layer is known by what it does, and not by its class: what it gives is a + w * b, with a and b of the input
alone. Then b is the derivative, whether it is written as torch.nn.RMSNorm, as in Llama, or with 1 + w as in Gemma.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call


def may_scale(module: nn.Module) -> bool:
    """Whether a layer has one vector of weights and nothing else, and is called a normalisation."""
    own = [name for name, _ in module.named_parameters()]
    alone = own == ["weight"] and not list(module.children()) and not list(module.buffers())
    return alone and type(module).__name__.endswith("Norm") and module.weight.dim() == 1  # type: ignore[operator]


def slope(module: nn.Module, entering: Tensor) -> Tensor:
    """(n, ..., d): the derivative of each number that comes out with respect to its feature's weight."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    difference: Tensor = _with(module, torch.ones_like(weight), entering)
    return difference - _with(module, torch.zeros_like(weight), entering)


def scales(module: nn.Module, entering: Tensor) -> bool:
    """Whether it is such a layer, asked with other weights than its own, each of another size."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    probe = torch.linspace(-1.5, 2.0, len(weight), dtype=weight.dtype, device=weight.device)
    found = _with(module, probe, entering)
    if found.shape != entering.shape or found.shape[-1] != len(weight):
        return False
    expected = _with(module, torch.zeros_like(probe), entering) + probe * slope(module, entering)
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def _with(module: nn.Module, weight: Tensor, entering: Tensor) -> Tensor:
    with torch.no_grad():
        output: Tensor = functional_call(module, {"weight": weight}, (entering,))
    return output
