"""What a rank without a sample of a batch runs instead: a sample that does not count.

With fewer samples than ranks somebody's share is empty. Many models cannot run on nothing (`x.view(len(x), -1)`), and
the others wait for this rank in the layers that communicate: it runs one sample, and throws the output away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_running = False


def counts() -> bool:
    """Whether what passes through the model now counts; layers that take statistics leave out what does not."""
    return not _running


@contextmanager
def placeholder() -> Iterator[None]:
    """What passes through a model in the block does not count."""
    global _running
    _running = True
    try:
        yield
    finally:
        _running = False
