"""Options of a pipeline file, checked against the signature of the function that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from pipelines.errors import PipelineError
from pipelines.suggest import did_you_mean


def bind(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    where: str,
    given: Collection[str] = (),
    positional: int = 0,
) -> dict[str, Any]:
    """The options as the function's annotations say.

    Args:
        function: a function or a class.
        where: the key in the pipeline file, for messages.
        given: parameters that somebody else passes by name.
        positional: how many somebody else passes in front.

    Raises:
        PipelineError: unknown or missing options, or values of a wrong type; one problem each.
    """
    parameters = _parameters(function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    by_name = list(parameters.items())[positional:]
    known = {
        name: p for name, p in by_name if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in given
    }
    problems: list[str] = []
    bound: dict[str, Any] = {}
    for name, value in options.items():
        if name in known:
            bound[name] = _converted(known[name].annotation, value, f"{where}.{name}", problems)
        elif takes_any and name not in parameters:
            bound[name] = value
        else:
            problems.append(f"{where}.{name}: unknown option{_suggestion(name, known)}")
    for name, parameter in known.items():
        if name not in options and parameter.default is parameter.empty:
            problems.append(f"{where}.{name}: is missing")
    if problems:
        raise PipelineError(problems)
    return bound


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function, eval_str=True).parameters
    except ValueError:
        # Written in C and without a signature: it checks for itself.
        return {"options": inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)}
    except Exception:
        # Annotations that exist for a type checker only.
        parameters = inspect.signature(function).parameters.values()
        return {parameter.name: parameter.replace(annotation=parameter.empty) for parameter in parameters}


def _converted(hint: Any, value: Any, where: str, problems: list[str]) -> Any:
    if hint is inspect.Parameter.empty:
        return value
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
    except PydanticUserError:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problems.append(f"{where}: {first['msg']}, got {value!r}")
        return None


def _suggestion(name: str, known: Collection[str]) -> str:
    if not known:
        return "; it has none"
    close = did_you_mean(name, known)
    return f", did you mean '{close}'?" if close else f"; known: {', '.join(known)}"
