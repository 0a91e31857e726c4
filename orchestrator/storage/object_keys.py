"""Which keys a store accepts: relative POSIX paths that cannot leave the store."""

import re

from orchestrator.errors import StorageError

# Names that begin like this belong to the store itself: they are never listed and never accepted as keys.
RESERVED = ".everlearn-"

# S3 allows 1024 bytes for prefix and key together, file systems 255 for one name.
LONGEST_KEY = 900
LONGEST_SEGMENT = 255
# Control characters, backslashes, and halves of surrogate pairs.
_REFUSED = re.compile(r"[\x00-\x1f\\\ud800-\udfff]")


def checked_key(key: str) -> str:
    """`key` itself.

    Raises StorageError when it is empty, absolute, too long, holds control characters or backslashes, or has a segment
    that is empty, `.`, `..` or reserved.
    """
    segments = key.split("/")
    # Listing a store checks every name in it.
    wrong = (
        _REFUSED.search(key) is not None
        or any(segment in ("", ".", "..") or segment.startswith(RESERVED) for segment in segments)
        or len(key.encode("utf-8", "replace")) > LONGEST_KEY
        or any(len(segment.encode("utf-8", "replace")) > LONGEST_SEGMENT for segment in segments)
    )
    if wrong:
        raise StorageError(f"{key[:200]!r} is not a valid storage key")
    return key


def checked_prefix(prefix: str) -> str:
    """`prefix` itself: empty, or a string with which a valid key may begin. Raises StorageError as `checked_key`."""
    if prefix:
        checked_key(prefix[:-1] if prefix.endswith("/") else prefix)
    return prefix


def readable(name: str) -> str:
    """A name that may hold anything, as text for a person: what cannot be printed is escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
