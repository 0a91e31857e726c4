"""Parameters that are not trained, by patterns of their names.

A frozen parameter has no `requires_grad`, which is what the optimiser, penalties, projections and the strategies go by.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Sequence
from types import MethodType

from torch import nn

from pipelines.config.pipeline_errors import PipelineError
from strategies.loop.batch_statistics import layers_with_statistics

KEY = "train.freeze"


def frozen_parameters(model: nn.Module, patterns: Sequence[str]) -> frozenset[str]:
    """The names of a model's parameters that match a pattern, such as encoder.*, in which * also stands for dots.

    Raises:
        PipelineError: a pattern that matches none; it names the nearest ones.
    """
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    found: set[str] = set()
    for pattern in patterns:
        matching = fnmatch.filter(names, pattern)
        if not matching:
            raise PipelineError(f"{KEY}: '{pattern}' matches no parameter of the model. {_nearest(pattern, names)}")
        found.update(matching)
    return frozenset(found)


def freeze(model: nn.Module, names: Collection[str], *, replaced: bool = False) -> None:
    """Take parameters, by name, out of training.

    Args:
        replaced: a strategy puts parts into the model that learn in its place.

    Raises:
        PipelineError: no other is left.
    """
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    if names and not replaced and not any(p.requires_grad for p in model.parameters()):
        last = list(dict(model.named_parameters()))[-1]
        raise PipelineError(
            f"{KEY}: with these patterns all parameters are frozen, so that nothing would learn: leave some out, such "
            f"as '{last}', or use a strategy that trains no parameters, such as slda"
        )


def keep_statistics(model: nn.Module, names: Collection[str]) -> None:
    """Layers with running statistics stay in evaluation mode, for good, where what they belong to is frozen.

    That is the layer itself, or where it has no parameters, the nearest module around it that has.

    Args:
        names: of the frozen parameters.
    """
    for name, layer in layers_with_statistics(model).items() if names else ():
        around, owner = name, layer
        while around and next(owner.parameters(), None) is None:
            around = around.rpartition(".")[0]
            owner = model.get_submodule(around)
        own = {f"{around}.{inner}".lstrip(".") for inner, _ in owner.named_parameters(remove_duplicate=False)}
        if own and own <= set(names):
            layer.train(False)
            layer.__dict__["train"] = MethodType(_stays, layer)  # a copy of the layer has its own


def _stays(layer: nn.Module, mode: bool = True) -> nn.Module:
    return layer


def _nearest(pattern: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(pattern.replace("*", ""), names, n=3, cutoff=0.2) or list(names)[:3]
    return f"The nearest are {', '.join(near)}" if near else "It has none"
