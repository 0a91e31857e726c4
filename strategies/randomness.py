"""Random numbers that depend on what they are for, not on what was drawn before.

Every draw is addressed by the run's seed, a purpose and integers such as experience and step. A run that goes on in the
middle, or on another number of workers, therefore draws exactly what an undisturbed run would have drawn.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str, *address: int) -> np.random.Generator:
    """The generator for one purpose at one place; creating it costs about 10 microseconds."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *address])))


def integer(seed: int, purpose: str, *address: int) -> int:
    """A 63-bit integer for one purpose at one place, to seed other generators with."""
    return int(generator(seed, purpose, *address).integers(2**63))
