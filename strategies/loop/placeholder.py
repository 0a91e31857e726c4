"""A placeholder sample for a rank that has no sample of a batch; it does not count.

With fewer samples than ranks, the share of some rank is empty. Many models cannot run on an empty batch
(`x.view(len(x), -1)`), and the other ranks wait for this rank in the layers that communicate. So it runs one sample and
discards the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_running = False


def counts() -> bool:
    """Whether the current forward pass counts; layers that take statistics leave out placeholder samples."""
    return not _running


@contextmanager
def placeholder() -> Iterator[None]:
    """Forward passes within the block do not count."""
    global _running
    _running = True
    try:
        yield
    finally:
        _running = False
