"""Which task each weight belongs to, stored as bits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

MOST_TASKS = 255


class Owners(nn.Module):
    """For each weight of a network, the task that owns it: 1, 2, ... in the order of the tasks, 0 for none yet.

    Weights are the parameters that are learned and have two dimensions or more. In a state dict there is one tensor
    of bits, (planes, ceil(weights / 8)) uint8: bit planes of the owner's number, lowest first, so that T tasks take
    log2(T + 1) bits a weight, rounded up. In memory each weight takes a byte.

    Attributes:
        owner: (weights,) uint8, the parameters one after the other.
        shapes: shapes of the parameters, by name.
    """

    owner: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.shapes = {name: p.shape for name, p in network.named_parameters() if p.requires_grad and p.dim() >= 2}
        size = sum(shape.numel() for shape in self.shapes.values())
        self.register_buffer("owner", torch.zeros(size, dtype=torch.uint8), persistent=False)

    def of(self) -> dict[str, Tensor]:
        """The owners in the parameters' shapes, by name: views of `owner`."""
        parts = self.owner.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def get_extra_state(self) -> Tensor:
        """The bits, for `state_dict`."""
        planes = max(1, int(self.owner.max()).bit_length()) if len(self.owner) else 1
        return packed(self.owner.cpu(), planes)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what `get_extra_state` returned.

        Raises:
            ValueError: their number does not fit the weights.
        """
        size = len(self.owner)
        fits = state.dtype == torch.uint8 and state.dim() == 2 and 1 <= len(state) <= 8
        if not fits or state.shape[1] != -(-size // 8):
            raise ValueError(f"the owners of {size} weights cannot be {state.dtype} {list(state.shape)}")
        self.owner.copy_(unpacked(state.cpu(), size))


def packed(values: Tensor, planes: int) -> Tensor:
    """Bit planes of (n,) uint8 `values` below 2^planes: (planes, ceil(n / 8)) uint8, on the CPU."""
    bits = (values.numpy()[None] >> np.arange(planes, dtype=np.uint8)[:, None]) & 1
    return torch.from_numpy(np.packbits(bits, axis=1, bitorder="little"))


def unpacked(planes: Tensor, n: int) -> Tensor:
    """The `n` values of which `packed` made bit planes, (n,) uint8."""
    bits = np.unpackbits(planes.numpy(), axis=1, count=n, bitorder="little")
    shifted = bits << np.arange(len(bits), dtype=np.uint8)[:, None]
    return torch.from_numpy(shifted.sum(0, dtype=np.uint8))
