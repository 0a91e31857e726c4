"""Which errors mean that memory is not enough, or that a size is beyond every memory."""

from __future__ import annotations

_WORDS = (
    "allocate memory",
    "out of memory",
    "not enough memory",
    "size calculation overflowed",
    "unable to allocate",
    "cannot allocate",
    "array is too big",
    "int64_t without overflow",
    "int too big to convert",
    "index-sized integer",
    "int too large to convert",
    "maximum allowed dimension",
    "overflow when unpacking long",
)


def is_allocation_failure(error: BaseException) -> bool:
    """Whether an error of Python, torch or numpy says that something is too large to be allocated."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()[:2000]
    return isinstance(error, (RuntimeError, OverflowError, TypeError, ValueError)) and any(w in text for w in _WORDS)
