"""What becomes of the memory that a training step has used."""

from __future__ import annotations

import torch

# The largest block that counts (DEFAULT_MMAP_THRESHOLD_MAX in mallopt(3)), with what surrounds it.
_LARGEST = 2**25 - 2**13


def keep_freed_memory() -> None:
    """Have the C library keep what a step frees, for the next step.

    glibc maps a large block anew each time, and gives back what is free at the end of its heap; the system then clears
    every page of it again, which may take a tenth of a step on a CPU. What counts as large follows the largest block
    that was ever freed, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD): so one is freed here, of which no page is touched.
    Twice as much may stay with the process. Without effect where the C library is another, or memory is not its own.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)
