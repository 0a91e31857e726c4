"""Reuse of the memory that training steps free."""

from __future__ import annotations

import torch

# The largest block that counts (DEFAULT_MMAP_THRESHOLD_MAX in mallopt(3)), with what surrounds it.
_LARGEST = 2**25 - 2**13


def keep_freed_memory() -> None:
    """Have the C library keep the memory that a step frees, for the next step.

    glibc maps a large block again at each allocation, and returns free memory at the end of its heap to the system,
    which then clears every page at the next allocation, which may take a tenth of a step on a CPU. What counts as large
    follows the largest block that was ever freed, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD). So this function frees
    one such block, without touching any of its pages. The process may keep up to twice as much memory. There is no
    effect with another C library or allocator.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)
