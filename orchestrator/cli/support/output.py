"""The output of a command: tables for a person, or one JSON document alone on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.progress.printable import printable_json

if TYPE_CHECKING:
    from rich.console import Console


def console(stream: TextIO | None = None) -> Console:
    """A console for tables on `stream` (stdout). NO_COLOR and the width of the terminal are respected.

    Terminal controls in what it prints are written out.
    """
    from orchestrator.progress.safe_console import SafeConsole

    return SafeConsole(file=stream, highlight=False, emoji=False, markup=False)


def print_json(document: Any, stream: TextIO) -> None:
    """Write one document to `stream`, indented, with a newline at its end."""
    stream.write(printable_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n")
    stream.flush()


@contextlib.contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Send to stderr whatever this process, its libraries or its children print, and yield the real stdout."""
    real = sys.stdout
    real.flush()
    if not _is_descriptor_one(real):
        with contextlib.redirect_stdout(sys.stderr):
            yield real
        return
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream, contextlib.redirect_stdout(sys.stderr):
            yield stream
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _is_descriptor_one(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError, AttributeError):
        return False
