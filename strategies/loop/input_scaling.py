"""From stored inputs to what a model takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def prepared(inputs: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Stored inputs as a model takes them: uint8 scaled to [0, 1], other floats as `dtype`, integers unchanged."""
    if inputs.dtype == torch.uint8:
        inputs = inputs.float().div_(255.0)
    elif not inputs.is_floating_point():
        return inputs
    return inputs.to(dtype)


def input_dtype(model: nn.Module) -> torch.dtype:
    """The dtype of a model's inputs: that of its parameters, float32 when they have several or none."""
    found = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return found.pop() if len(found) == 1 else torch.float32
