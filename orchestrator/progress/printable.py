"""Foreign text on a terminal: what comes from stores, file names, servers, jobs and pipeline files.

Escape sequences can rewrite what a terminal shows, or worse, and bidirectional controls can let text read as another.
Whatever a command prints goes through `printable`, or through a console that does so (`SafeConsole`).
"""

from __future__ import annotations

import re
from typing import TextIO

# C0 without tab and line feed, DEL, C1, bidirectional and other invisible format controls, line and paragraph
# separators, and halves of surrogate pairs, which no terminal can encode.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """`text` with terminal controls written out, such as \\x1b; tabs and line feeds stay. Idempotent, and linear."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def printable_json(text: str) -> str:
    """JSON `text` with the same characters as JSON escapes: it means the same document."""
    return _UNSAFE.sub(_json_escape, text)


def say(text: str = "", *, file: TextIO | None = None, err: bool = False) -> None:
    """Print a line that may hold foreign text, to stdout by default."""
    import click

    click.echo(printable(text), file=file, err=err)


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
