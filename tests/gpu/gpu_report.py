"""What a part found, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def table(name: str, found: Mapping[str, Any]) -> str:
    """A heading and a line for each row: its columns are those of the first."""
    lines = [f"\n{name}: {found['state']} in {found['seconds']:.0f} s"]
    if found.get("why"):
        lines += [f"  {line}" for line in found["why"].splitlines()[-12:]]
    rows = found["rows"]
    if rows:
        columns = list(dict.fromkeys(column for row in rows for column in row))
        cells = [columns] + [[_cell(row.get(column)) for column in columns] for row in rows]
        widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
        for row in cells:
            first, *others = zip(row, widths, strict=True)
            text = "  ".join(cell.rjust(width) for cell, width in others)
            lines.append(f"  {first[0].ljust(first[1])}  {text}".rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
