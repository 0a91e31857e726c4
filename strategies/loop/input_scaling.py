"""From stored inputs to what a model takes."""

from __future__ import annotations

import torch
from torch import Tensor


def prepared(inputs: Tensor) -> Tensor:
    """Stored inputs as a model takes them: uint8 scaled to [0, 1], other floats as float32, other integers as such."""
    if inputs.dtype == torch.uint8:
        return inputs.float().div_(255.0)
    return inputs.float() if inputs.is_floating_point() else inputs
