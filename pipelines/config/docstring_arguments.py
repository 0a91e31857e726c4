"""What a docstring says about each argument or attribute, for components without other descriptions."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Attributes|Keyword Args|Keyword Arguments):\s*$")
_ENTRY = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: *\([^)]*\))?:(?: +(?P<text>.*))?$")


def documented_arguments(docstring: str | None) -> dict[str, str]:
    """The meaning of each name in the `Args:` and `Attributes:` sections of a docstring in Google's style.

    Args:
        docstring: as in the source; None gives an empty result.

    Returns:
        One line of text for each name; `a, b: text` gives the text to both.
    """
    found: dict[str, list[str]] = {}
    current: list[str] = []
    section = inner = -1  # indentation of the section's heading, and of its entries
    for line in inspect.cleandoc(docstring or "").splitlines():
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if section < 0 or indent <= section:
            section, inner = (indent, -1) if _SECTION.match(line.strip()) else (-1, -1)
            current = []
            continue
        inner = indent if inner < 0 else inner
        entry = _ENTRY.match(line.strip()) if indent <= inner else None
        if entry is not None:
            current = [entry["text"] or ""]
            found.update((name.lstrip("*"), current) for name in entry["names"].split(", "))
        else:
            current.append(line.strip())
    return {name: " ".join(parts).strip() for name, parts in found.items()}
