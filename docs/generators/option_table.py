"""Fields of a pydantic class as a table: key, type, default, meaning."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from generators.docstrings import attributes

_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "any value"}
_BOUNDS = {annotated_types.Ge: "≥", annotated_types.Gt: ">", annotated_types.Le: "≤", annotated_types.Lt: "<"}


def option_table(model: type[BaseModel], *, prefix: str = "", told: Mapping[str, str] | None = None) -> str:
    """A Markdown table with a row for each field of `model`.

    Args:
        prefix: the key that holds the fields, with a dot at its end.
        told: meanings by key, where the class itself has none.

    Raises:
        ValueError: a field without a meaning.
    """
    meanings = {**(told or {}), **attributes(model)}
    rows = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        meaning = field.description or meanings.get(name) or meanings.get(key)
        if not meaning:
            raise ValueError(f"{model.__module__}.{model.__qualname__}.{name} does not say what it means")
        kind = type_text(field.annotation, field.metadata)
        rows.append((f"`{prefix}{key}`", kind, default_text(field), sentence(meaning)))
    return table(("key", "type", "default", "meaning"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |\n" for row in lines
    )


def sentence(text: str) -> str:
    """The meaning of a field as a sentence of a page: Python's None is null in a file."""
    return re.sub(r"\bNone\b", "`null`", text[:1].upper() + text[1:])


def default_text(field: FieldInfo) -> str:
    """The default as a file would write it."""
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        try:
            value = field.get_default(call_default_factory=True, validated_data={})
        except TypeError:
            return "see the meaning"
    else:
        value = field.default
    return value_text(value)


def value_text(value: Any) -> str:
    """A value as a file would write it."""
    if isinstance(value, BaseModel):
        return "its own defaults" if not _required(type(value)) else f"`{value_name(value)}`"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], BaseModel):
        return ", ".join(f"`{value_name(item)}`" for item in value)
    if value is None:
        return "`null`"
    if value == "":
        return "empty"
    return f"`{json.dumps(value, default=str)}`" if not isinstance(value, str) else f"`{value}`"


def value_name(value: BaseModel) -> str:
    """The name of a component that is a default."""
    return str(getattr(value, "name", type(value).__name__))


def _required(model: type[BaseModel]) -> bool:
    return any(field.is_required() for field in model.model_fields.values())


def type_text(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in words, with its bounds."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return type_text(inner, [*more, *metadata])
    bounds = ", ".join(_bounds(metadata))
    return " ".join(part for part in (_plain(annotation), bounds) if part)


def _bounds(metadata: Sequence[Any]) -> list[str]:
    found = []
    for item in metadata:
        if isinstance(item, FieldInfo):
            found += _bounds(item.metadata)
        elif type(item) in _BOUNDS:
            found.append(f"{_BOUNDS[type(item)]} {next(iter(vars_of(item))):g}")
    return found


def vars_of(item: Any) -> list[Any]:
    """The values of a small object with slots."""
    return [getattr(item, name) for name in item.__slots__] if hasattr(item, "__slots__") else list(vars(item).values())


def _plain(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return type_text(annotation.__value__)
    if origin is Literal and set(arguments) >= {"average_accuracy", "forgetting"}:
        return "a [metric](metrics.md)"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        parts = [type_text(part) for part in arguments if part is not type(None)]
        return " or ".join(dict.fromkeys(parts))
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"list of {type_text(arguments[0])}"
        return "[" + ", ".join(type_text(part) for part in arguments) + "]"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"mapping of {type_text(arguments[0])} to {type_text(arguments[1])}"
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return f"list of {type_text(arguments[0])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "name, or mapping with `name`" if "name" in annotation.model_fields else "mapping"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
