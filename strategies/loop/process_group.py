"""The ranks that learn one model together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

import torch
import torch.distributed as dist
from torch import Tensor


class Reduction(Enum):
    """How the ranks' values of a statistic become one."""

    SUM = "sum"
    """Each rank holds its samples' part: add them."""
    MEAN = "mean"
    """Each rank holds an estimate of the same quantity: average them."""
    GLOBAL = "global"
    """Every rank has computed the same value already: nothing to do."""


class Group:
    """`size` ranks that hold the same model; this process is rank `rank`.

    With a size of 1 every method is a no-op, and torch.distributed is not needed.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        if not 0 <= rank < size:
            raise ValueError(f"rank {rank} is not in a group of {size}")
        self.rank = rank
        self.size = size

    @classmethod
    def current(cls) -> Group:
        """The default process group of torch.distributed, or a group of one."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def share(self, n: int) -> slice:
        """This rank's contiguous part of n things; the parts of all ranks are disjoint and cover 0..n-1."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def broadcast(self, data: bytes) -> bytes:
        """Rank 0's bytes, on every rank."""
        if self.size == 1:
            return data
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        length = torch.tensor([len(data)], device=device)
        dist.broadcast(length, 0)
        content = torch.zeros(int(length), dtype=torch.uint8, device=device)
        if self.rank == 0 and data:
            content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(content, 0)
        return content.cpu().numpy().tobytes()

    def gather(self, part: Tensor, place: slice, n: int) -> Tensor:
        """(n, ...) on the CPU, on every rank: the parts of all ranks, each at its place, to the bit.

        Args:
            part: (place.stop - place.start, ...) of this rank; the places of all ranks cover 0..n-1.
        """
        if self.size == 1:
            return part
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        width = math.prod(part.shape[1:])
        # Bytes: a sum of floats would turn -0.0 into 0.0.
        whole = torch.zeros(n, width * part.element_size(), dtype=torch.uint8, device=device)
        if len(part):
            whole[place] = part.contiguous().reshape(len(part), -1).view(torch.uint8).to(device)
        dist.all_reduce(whole)
        return whole.cpu().view(part.dtype).reshape(n, *part.shape[1:])

    def reduce_(self, tensors: Sequence[Tensor], how: Reduction) -> None:
        """Combine each tensor over the ranks, in place, with one message for each dtype."""
        if self.size == 1 or how is Reduction.GLOBAL or not tensors:
            return
        for dtype in sorted({t.dtype for t in tensors}, key=str):
            same = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in same])
            dist.all_reduce(flat)
            if how is Reduction.MEAN:
                flat /= self.size
            for tensor, part in zip(same, flat.split([t.numel() for t in same]), strict=True):
                tensor.copy_(part.view_as(tensor))
