"""Options as a Markdown table: key, type, default, meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from pipelines.config.option_list import Option, Options, model_options

_SECTION = re.compile(r"(list of )?\b(\w+)Spec\b")
_NAMED = ("Dataset", "Model", "Optimizer", "Scheduler", "Strategy", "Transform")


def section_table(model: type[BaseModel]) -> str:
    """The table of a section of the pipeline file.

    Raises:
        ValueError: a key without a meaning.
    """
    found = model_options(model, *(base.__doc__ for base in reversed(model.__mro__)))
    return option_table(found, f"{model.__module__}.{model.__qualname__}")


def option_table(found: Options, owner: str) -> str:
    """A table with a row for each option.

    Args:
        owner: whose options they are, for the error.

    Raises:
        ValueError: an option without a meaning.
    """
    for option in found.options:
        if not option.meaning:
            raise ValueError(f"{owner}.{option.name} does not say what it means")
    rows = [_row(option) for option in found.options]
    return table(("key", "type", "default", "meaning"), rows)


def _row(option: Option) -> tuple[str, str, str, str]:
    kind = _SECTION.sub(_section, option.type)
    # In a file Python's None is null.
    meaning = re.sub(r"\bNone\b", "`null`", option.meaning or "")
    default = "required" if option.required else _as_written(option.default)
    return f"`{option.name}`", kind, default, meaning.replace("*", "\\*")


def _section(match: re.Match[str]) -> str:
    """A section of the file by its form."""
    several, kind = match.groups()
    if kind not in _NAMED:
        return "mapping"
    return "list of names or mappings" if several else "name or mapping"


def _as_written(value: Any) -> str:
    """A default as a file would write it."""
    if value == "":
        return "empty"
    if isinstance(value, dict) and value:
        return "its own defaults"
    if value == "PydanticUndefined":
        return "see its meaning"  # it depends on another key
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value, default=str)}`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
