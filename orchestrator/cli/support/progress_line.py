"""One line on stderr that shows the progress of a command, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Update = Callable[[str, int, int], None]


@contextmanager
def progress_line() -> Iterator[Update]:
    """Yield a function (what, done, total) that updates the line; the line is erased at the end."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from orchestrator.progress.safe_console import SafeConsole

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=SafeConsole(stderr=True, emoji=False, markup=False), transient=True) as progress:
        line = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(line, description=what, completed=done, total=total)
