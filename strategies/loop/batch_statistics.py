"""Layers that depend on the whole batch: they normalise by its statistics, or keep running statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from strategies.api.strategy_errors import StrategyError

_TOO_FEW = ("more than 1 value per channel", "more than one value per channel")


def layers_with_statistics(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that normalise by the batch in training, or keep running statistics of it, by name."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm) or (isinstance(layer, _InstanceNorm) and layer.track_running_stats)
    }


def takes_one_value(model: nn.Module, example: Tensor) -> str | None:
    """The name of a layer that would take its statistics from a single value per channel; None: there is no such layer.

    Args:
        model: in training mode.
        example: one prepared input, (1, *shape).
    """
    found: list[nn.Module] = []

    def look(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        if args and args[0].numel() == args[0].shape[1]:
            found.append(layer)

    layers = {layer: name for name, layer in layers_with_statistics(model).items() if layer.training}
    handles = [layer.register_forward_pre_hook(look) for layer in layers if isinstance(layer, _BatchNorm)]
    if not handles:
        return None
    model.eval()
    try:
        with torch.no_grad():
            model(example)
    finally:
        model.train()
        for handle in handles:
            handle.remove()
    return layers[found[0]] if found else None


def single_sample(experience: int, samples: int, layer: str = "") -> StrategyError:
    """Why a batch of one sample cannot be learned, and what to do.

    Args:
        samples: of the experience.
        layer: name of the layer that cannot; empty where it is not known.
    """
    where = f" of layer '{layer}'" if layer else ""
    cause = f"experience {experience}: a batch of one sample is too small for the batch normalisation{where}"
    if samples < 2:
        return StrategyError(f"{cause}, and it has one sample only: use a model without batch normalisation")
    return StrategyError(
        f"{cause}; its last batch has what is left of {samples} samples: set train.last_batch: merge (into the batch "
        "before) or drop, or another train.batch_size"
    )


def is_too_few(error: ValueError) -> bool:
    """Whether a normalisation refused a batch because it has one value for each channel."""
    return any(text in str(error) for text in _TOO_FEW)
