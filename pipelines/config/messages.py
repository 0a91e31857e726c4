"""Pydantic's validation errors, as messages about a pipeline file."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.config.document import KeyPath, Problem
from pipelines.config.masking import shorten, show
from pipelines.config.suggest import did_you_mean

_MESSAGES = {
    "missing": "is required",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} entries, has {actual_length}",
    "too_long": "must have at most {max_length} entries, has {actual_length}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be a mapping such as {{key: value}}",
    "model_type": "must be a mapping such as {{key: value}}",
    "none_required": "must be null",
}
_WITHOUT_VALUE = {"missing", "extra_forbidden", "too_short", "too_long", "refused"}


def explain(error: ValidationError, model: type[BaseModel], data: Any) -> list[Problem]:
    """The problems of `data` from its validation against `model`; key paths are relative to `data`."""
    found: list[Problem] = []
    of_type: dict[KeyPath, Problem] = {}
    for details in _of_unions(error, data):
        problems = list(_problems(details, model, data))
        if _is_of_type(details):
            (problem,) = problems
            first = of_type.setdefault(problem.path, problem)
            if first is not problem:
                # Of what a union allows, none fits: one message says them all.
                first.message += f", or {problem.message.removeprefix('must be ')}"
                continue
        found += problems
    return found


def _of_unions(error: ValidationError, data: Any) -> list[ErrorDetails]:
    """The errors, without those of members of a union that another member is closer to: what it says is enough."""
    every = error.errors(include_url=False)
    places = [located(details["loc"], data) for details in every]
    kinds = [_is_of_type(details) for details in every]

    def closer(place: KeyPath) -> bool:
        return any(
            other[: len(place)] == place and (len(other) > len(place) or not kind)
            for other, kind in zip(places, kinds, strict=True)
        )

    return [details for details, place, kind in zip(every, places, kinds, strict=True) if not (kind and closer(place))]


def _is_of_type(details: ErrorDetails) -> bool:
    """Whether a value is of another type than it must be."""
    return details["type"].endswith("_type")


def located(loc: tuple[int | str, ...], data: Any) -> KeyPath:
    """Pydantic's location as a key path in `data`, without names of union members and other parts that `data` lacks."""
    path: list[int | str] = []
    for part in loc:
        if isinstance(data, dict) and str(part) in data:
            path.append(str(part))
            data = data[str(part)]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


def unknown_key(key: str, known: list[str]) -> str:
    """The message about `key` where only the keys `known` are allowed."""
    close = did_you_mean(key, known)
    if close:
        return f"unknown key, did you mean '{close}'?"
    return f"unknown key; known here: {', '.join(known)}" if known else "unknown key; there are none here"


def known_keys(model: type[BaseModel]) -> list[str]:
    """The keys that `model` takes, as written in files."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _problems(details: ErrorDetails, model: type[BaseModel], data: Any) -> Iterator[Problem]:
    kind, loc, context = details["type"], details["loc"], details.get("ctx", {})
    path = located(loc, data)
    if kind == "refused":
        for inner, message in context["problems"]:
            yield Problem((*path, *inner), message)
        return
    if kind == "missing":
        path = (*path, loc[-1])
    if kind == "extra_forbidden":
        message = unknown_key(str(loc[-1]), known_keys(_model_at(model, loc[:-1])))
    elif kind in _MESSAGES:
        message = _MESSAGES[kind].format(**{name: _number(value) for name, value in context.items()})
        if context.get("min_length") == 1:
            message = "must not be empty"
        if kind == "string_type" and isinstance(details["input"], (int, float, bool)):
            message += " (put it in quotes)"
    elif kind in ("literal_error", "enum"):
        message = f"must be one of {context['expected'].replace(chr(39), '').replace(' or ', ', ')}"
        close = did_you_mean(str(details["input"]), message.removeprefix("must be one of ").split(", "))
        if close and isinstance(details["input"], str):
            message += f" (did you mean {close}?)"
    else:
        text = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        message = shorten(text.replace("Input should be", "must be"), 300)
    yield Problem(path, message, None if kind in _WITHOUT_VALUE else show(details["input"]))


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    for part in loc:
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        if field is not None:
            found = list(_models_in(field.annotation))
            model = found[0] if found else model
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
