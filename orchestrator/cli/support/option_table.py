"""An option of a component as a person reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipelines.config.option_list import Option


def option_table(option: Option) -> RenderableType:
    """Its name beside its type, its default and its meaning."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=18, style="bold")
    table.add_column(overflow="fold")
    default = "required" if option.required else f"default {_as_written(option.default)}"
    table.add_row(option.name, Text(f"{option.type}; {default}", style="dim"))
    if option.meaning:
        table.add_row("", option.meaning)
    return table


def _as_written(value: object) -> str:
    """A default as it would stand in a pipeline file."""
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value)
