"""What lies in a source at one time."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.updates.file_verdict import Found


@dataclass(frozen=True)
class Listing:
    """All files of a source at one time.

    Attributes:
        files: in no particular order.
        now: seconds since 1970, by the clock of what holds the files.
        warnings: sentences on what is lost.
    """

    files: tuple[Found, ...]
    now: float
    warnings: tuple[str, ...] = ()
