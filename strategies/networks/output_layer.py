"""The last layer of a model: finding, removing and replacing it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from strategies.networks.penultimate_features import head


def head_name(model: nn.Module, inputs: Tensor, who: str) -> str:
    """The name of the layer that makes the model's output.

    Args:
        inputs: a few inputs, as the model takes them.
        who: the strategy's name, for the error.

    Raises:
        StrategyError: the model does not end in a torch.nn.Linear.
    """
    last = head(model, inputs, f"{who} puts other heads on")
    names: dict[nn.Module, str] = {layer: name for name, layer in model.named_modules()}
    return names[last]


def stored_head(model: nn.Module, stored: Callable[[str], bool]) -> str:
    """The name of the layer that was taken off a model before its state was stored: the torch.nn.Linear it lacks.

    Args:
        stored: whether the state has the layer of a given name.

    Raises:
        ValueError: it lacks no such layer, or several.
    """
    missing: list[str] = [
        name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and not stored(name)
    ]
    if len(missing) != 1:
        raise ValueError(f"{len(missing)} linear layers of the model are not in it")
    return missing[0]


def take_off(model: nn.Module, name: str) -> tuple[nn.Module, nn.Linear]:
    """The model without its layer `name`, changed in place, and that layer; the layer's input is then the output."""
    last = model.get_submodule(name)
    assert isinstance(last, nn.Linear)
    return put(model, name, nn.Identity()), last


def put(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The model with another layer in the place called `name`, changed in place; the layer itself for the name ''."""
    if not name:
        return layer
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
    return model
