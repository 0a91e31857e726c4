"""torch's optimisers without loading its compiler, which takes a second and has no effect on their steps.

Nothing here is compiled. What a step computes is torch's own, to the bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer

# What torch wraps so that the compiler leaves it out, beside the step.
_LEFT_OUT = ("zero_grad", "add_param_group", "state_dict", "load_state_dict")

Kind = TypeVar("Kind", bound=Optimizer)


def eager(kind: type[Kind]) -> Callable[..., Kind]:
    """The class `kind` of torch.optim, whose methods run as they are written."""
    return _eager(kind)  # type: ignore[return-value, arg-type]


@cache
def _eager(kind: type[Optimizer]) -> type[Optimizer]:
    step: Callable[..., Any] = inspect.unwrap(kind.step)

    def as_written(self: Optimizer, closure: Callable[[], float] | None = None) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, closure)

    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _LEFT_OUT}
    return type(kind.__name__, (kind,), {**methods, "step": as_written, "__module__": kind.__module__})
