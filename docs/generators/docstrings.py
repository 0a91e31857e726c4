"""Docstrings in Google's style, taken apart."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$", re.MULTILINE)
_OUTDENTED = re.compile(r"^\S", re.MULTILINE)
_ENTRY = re.compile(r"^(\S[^:\n]*): (.*)$")


class Docstring(NamedTuple):
    """One docstring.

    Attributes:
        summary: its first line.
        text: everything before the first section, the summary included.
        sections: the text of each section by its title.
    """

    summary: str
    text: str
    sections: dict[str, str]


def docstring(thing: Any) -> Docstring:
    """The docstring of `thing` itself, or an empty one; what is inherited does not count."""
    own = thing.__dict__.get("__doc__") if isinstance(thing, type) else getattr(thing, "__doc__", None)
    parts = _SECTION.split(inspect.cleandoc(own or ""))
    text, sections = parts[0].strip(), {}
    for title, section in zip(parts[1::2], parts[2::2], strict=True):
        # A section ends with its indentation; what follows belongs to the text.
        end = _OUTDENTED.search(section)
        sections[title] = section[: end.start()] if end else section
        text += f"\n\n{section[end.start() :].strip()}" if end else ""
    return Docstring(text.partition("\n")[0], text, sections)


def entries(section: str) -> dict[str, str]:
    """`name: text` entries of a section by name; the lines of a text are joined."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(f"\n{section}").splitlines():
        start = _ENTRY.match(line)
        if start is not None:
            names = [name.strip() for name in start[1].split(",")]
            found.update(dict.fromkeys(names, start[2].strip()))
        elif names and line.strip():
            for name in names:
                found[name] += f" {line.strip()}"
    return found
