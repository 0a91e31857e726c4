"""Imports without garbage collection."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, keep: bool) -> Iterator[None]:
    """No garbage collection within the block.

    Imported modules stay in memory, and each collection would search them: with PyTorch that is a seventh of the time.

        Args:
            keep: leave all that is loaded now out of later collections, too. For a process of its own, once: what
                has become garbage by then is never freed.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if keep:
            gc.freeze()
        if before:
            gc.enable()
