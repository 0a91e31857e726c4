"""Times of commits in the local time zone."""

from __future__ import annotations

from datetime import datetime


def local_time(iso: str) -> str:
    """An ISO 8601 time in UTC, to the minute, in this machine's time zone: "2026-11-22 04:33"."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")
