"""How far a run has come with the files of a stream in lanes, before it begins."""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0


class IndexProgress:
    """Prints a line every ten seconds; none where it takes less."""

    def __init__(self, console: Console, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        self._console, self._seconds = console, seconds
        self._last: float | None = None
        self._done = 0

    def __call__(self, done: int, of: int) -> None:
        """So many files of how many are done."""
        now = time.monotonic()
        if self._last is None or done < self._done:
            self._last = now
        self._done = done
        if now - self._last >= self._seconds:
            self._last = now
            line = f"index of the blocks: {done:,} of {of:,} new files"
            self._console.print(Text(line, style="dim"), soft_wrap=True)
