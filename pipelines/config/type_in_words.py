"""A type as a person reads it, in the words of the error messages: "whole number >= 1 or null"."""

from __future__ import annotations

import collections.abc
import json
import types
import typing
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic.fields import FieldInfo

_PLAIN: dict[Any, tuple[str, str]] = {
    int: ("whole number", "whole numbers"),
    float: ("number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "text"),
    Path: ("text", "text"),
    type(None): ("null", "null"),
    Any: ("any value", "any values"),
}
_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Set)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def type_in_words(annotation: Any, metadata: Iterable[Any] = (), *, several: bool = False) -> str:
    """The values that a pipeline file may have for a type.

    Args:
        annotation: the type.
        metadata: the metadata of `Annotated`; for a field, `FieldInfo.metadata`.
        several: use the plural, as in "list of whole numbers".
    """
    metadata = list(metadata)
    if typing.get_origin(annotation) is Annotated:
        inner, *more = typing.get_args(annotation)
        return type_in_words(inner, [*metadata, *_spread(more)], several=several)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _either([type_in_words(one, metadata, several=several) for one in arguments])
    if origin is Literal:
        return " | ".join(map(_value, arguments))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(_value(member.value) for member in annotation)
    if annotation in _PLAIN:
        words = _PLAIN[annotation][several]
        return words + _bounds(metadata) if annotation in (int, float) else words
    if (origin or annotation) in _LISTS:
        return _list(origin or annotation, arguments, several)
    if (origin or annotation) in _MAPPINGS:
        return "mappings" if several else "mapping"
    name = getattr(annotation, "in_words", None) or getattr(annotation, "__name__", None)
    return str(name or annotation)


def _list(origin: Any, arguments: Sequence[Any], several: bool) -> str:
    word = "lists" if several else "list"
    inner = [argument for argument in arguments if argument is not Ellipsis]
    if not inner:
        return word
    if origin is tuple and Ellipsis not in arguments:
        same = all(argument == inner[0] for argument in inner)
        each = type_in_words(inner[0], several=True) if same else ", ".join(type_in_words(one) for one in inner)
        return f"{word} of {len(inner)} {each}" if same else f"{word} of {each}"
    return f"{word} of {type_in_words(inner[0], several=True)}"


def _either(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words))
    if len(words) < 3:
        return " or ".join(words)
    return f"{', '.join(words[:-1])}, or {words[-1]}"


def _spread(metadata: Iterable[Any]) -> list[Any]:
    return [part for one in metadata for part in (one.metadata if isinstance(one, FieldInfo) else [one])]


def _bounds(metadata: Iterable[Any]) -> str:
    found = []
    for one in metadata:
        found += [f"{sign} {getattr(one, key):g}" for key, sign in _BOUNDS if getattr(one, key, None) is not None]
    return f" {' and '.join(found)}" if found else ""


def _value(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
