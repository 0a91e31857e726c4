"""Random numbers that depend on what they are for, not on what was drawn before.

Every draw is addressed by the run's seed, a purpose and integers such as experience and step. A run that is resumed
within an experience, or on another number of workers, therefore draws the same numbers as an uninterrupted run.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import torch
from torch import Tensor


def generator(seed: int, purpose: str, *address: int) -> np.random.Generator:
    """The generator for one purpose and address; creating it costs about 10 microseconds."""
    return np.random.Generator(np.random.Philox(key=_digest(seed, purpose, *address)))


def integer(seed: int, purpose: str, *address: int) -> int:
    """A 63-bit integer for one purpose and address, to seed other generators with."""
    return _digest(seed, purpose, *address) % 2**63


def normal(rows: int, columns: int, seed: int, purpose: str, *address: int) -> Tensor:
    """Standard normal numbers for one purpose and address, (rows, columns) float32, on the CPU.

    A rank that needs some rows takes them from all of these, so that a sample's numbers depend only on its position in
    the global batch.
    """
    draw = torch.Generator().manual_seed(integer(seed, purpose, *address))
    return torch.randn(rows, columns, generator=draw)


def seed_forward(value: int, device: torch.device) -> None:
    """What a model draws in its forward pass depends on the step alone (torch.manual_seed takes 0.1 ms)."""
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(value)


def _digest(seed: int, purpose: str, *address: int) -> int:
    """128 bits."""
    place = struct.pack(f"<{1 + len(address)}Q", seed, *address)
    return int.from_bytes(hashlib.blake2b(place, digest_size=16, person=purpose.encode()).digest(), "little")
