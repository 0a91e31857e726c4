"""Which options a component takes, and validation of their values.

A strategy or an objective declares its options as a pydantic class `Options`. A dataset or a model declares them in the
same way (an attribute of the function or class) or by its signature; either way it gets them as keyword arguments.
"""

from __future__ import annotations

import inspect
import json
import math
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import InitErrorDetails

from pipelines.config.components import Kind, NotImported, resolve
from pipelines.config.document import KeyPath
from pipelines.config.exponent_notation import exponent
from pipelines.config.messages import located

# A model is called as model(input_shape, outputs, **options).
_LEADING: dict[Kind, int] = {"strategies": 0, "datasets": 0, "models": 2, "objectives": 0}
TARGET_KIND = "target_kind"
"""A dataset that has a parameter of this name gets what the objective learns
(`strategies.objectives.objective.TargetKind`)."""
_FROM_SIGNATURE = "SignatureOptions"
_CONTAINERS = {"tuple_type", "set_type", "frozen_set_type"}


def strategy_options(name: str, given: dict[str, Any]) -> BaseModel:
    """The options `given` of the strategy called `name`, as an instance of its `Options`.

    Raises:
        PipelineError: no such strategy.
        pydantic.ValidationError: it does not take these options.
    """
    return validate(options_model("strategies", name), given)[0]


class UncheckedOptions(BaseModel):
    """The options of a component that is not imported: any keys."""

    model_config = ConfigDict(extra="allow")


def options_model(kind: Kind, name: str) -> type[BaseModel]:
    """The pydantic class of the options that the component called `name` takes; any where it is not imported.

    Raises:
        PipelineError: no such component.
    """
    try:
        resolve(kind, name)
    except NotImported:
        return UncheckedOptions
    return _options_of(kind, name)


@cache
def _options_of(kind: Kind, name: str) -> type[BaseModel]:
    component = resolve(kind, name)
    declared = getattr(component, "Options", None)
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return declared
    # What is handed to it, and is no option.
    provided = frozenset({TARGET_KIND}) if kind == "datasets" else frozenset(getattr(component, "provided", ()))
    return signature_model(component, leading=_LEADING[kind], provided=provided)


def takes_option(kind: Kind, name: str, option: str) -> bool:
    """Whether a component has an option of this name, or takes any.

    Raises:
        PipelineError: no such component.
    """
    model = options_model(kind, name)
    known = {field.alias or key for key, field in model.model_fields.items()}
    return option in known or model.model_config.get("extra") == "allow"


def validate(model: type[BaseModel], given: Any) -> tuple[BaseModel, Any]:
    """`given` as an instance of `model`, and the values that were validated.

    Infinities and values that are not numbers are refused, except in a field, or a class, that says allow_inf_nan=True.
    Otherwise as `_validated`.

    Raises:
        pydantic.ValidationError: with all problems.
    """
    if "allow_inf_nan" not in model.model_config and isinstance(given, dict):
        allowed = {
            name
            for key, field in model.model_fields.items()
            for name in (key, field.alias)
            if any(getattr(one, "allow_inf_nan", False) for one in field.metadata)
        }
        endless = [InitErrorDetails(type="finite_number", loc=path, input=value) for path, value in _not_finite(given)]
        wrong = [details for details in endless if details["loc"][0] not in allowed]
        if wrong:
            raise ValidationError.from_exception_data(model.__name__, wrong)
    return _validated(model, given)


def _not_finite(value: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(inner, (*path, key))


def _validated(model: type[BaseModel], given: Any) -> tuple[BaseModel, Any]:
    """`given` as an instance of `model`, and the values that were validated.

    Nothing is converted silently (no text for numbers, no numbers for booleans), with exceptions that samplers and YAML
    make necessary: 200.0 where a whole number is expected, 1e-3 (text in YAML 1.1, because it has no dot) where a
    number is expected, and a bare true where the word is one of the choices.

    Raises:
        pydantic.ValidationError: with all problems.
    """
    strict = True
    for _ in range(4):
        try:
            return model.model_validate_json(json.dumps(given), strict=strict), given
        except ValidationError as error:
            errors = error.errors(include_url=False)
            repaired = given
            for details in errors:
                value, path = details["input"], located(details["loc"], given)
                if details["type"] in ("int_type", "float_type") and (number := exponent(value)) is not None:
                    repaired = _with(repaired, path, number)
                elif details["type"] == "int_type" and isinstance(value, float) and value.is_integer():
                    repaired = _with(repaired, path, int(value))
                elif details["type"] == "literal_error" and isinstance(value, bool):
                    word = str(value).lower()
                    if f"'{word}'" in details["ctx"]["expected"]:
                        repaired = _with(repaired, path, word)
            # A validator that runs before pydantic's own passes on Python lists, which strict mode refuses as tuples.
            lists = strict and any(details["type"] in _CONTAINERS for details in errors)
            if repaired is given and not lists:
                raise
            given, strict = repaired, strict and not lists
    return model.model_validate_json(json.dumps(given), strict=strict), given


def signature_model(component: Any, *, leading: int = 0, provided: frozenset[str] = frozenset()) -> type[BaseModel]:
    """A pydantic class with the keyword parameters of `component` and their types.

    Args:
        leading: how many leading parameters are no options.
        provided: names of further parameters that are no options.
    """
    try:
        parameters = list(inspect.signature(component).parameters.values())[leading:]
    except (ValueError, TypeError):
        return create_model(_FROM_SIGNATURE, __config__=ConfigDict(extra="allow"))
    try:
        hints = typing.get_type_hints(
            component.__init__ if inspect.isclass(component) else component, include_extras=True
        )
    except Exception:
        hints = {}
    config = ConfigDict(extra="forbid", protected_namespaces=())
    fields: dict[str, Any] = {}
    for index, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_KEYWORD:
            config["extra"] = "allow"
        by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if by_name and parameter.name not in provided:
            default = ... if parameter.default is parameter.empty else parameter.default
            # By alias, because pydantic does not allow all names for fields.
            fields[f"option_{index}"] = (_type(hints.get(parameter.name, Any)), Field(default, alias=parameter.name))
    return create_model(_FROM_SIGNATURE, __config__=config, **fields)


def takes_target_kind(component: Any) -> bool:
    """Whether a dataset has a parameter for what the objective learns."""
    try:
        return TARGET_KIND in inspect.signature(component).parameters
    except (ValueError, TypeError):
        return False


def _type(hint: Any) -> Any:
    try:
        TypeAdapter(hint)
    except Exception:
        # Not a type that a file can hold: the component has to check the value itself.
        return Any
    return hint


def _with(data: Any, path: KeyPath, value: Any) -> Any:
    if not path:
        return value
    changed = data.copy()
    changed[path[0]] = _with(data[path[0]], path[1:], value)
    return changed
