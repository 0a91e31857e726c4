"""The options of a component as plain data: their names, types, defaults and meanings, for people and for documents."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from pipelines.config.component_options import options_model
from pipelines.config.components import Kind, resolve
from pipelines.config.docstring_arguments import documented_arguments
from pipelines.config.type_in_words import type_in_words


class Option(NamedTuple):
    """One option.

    Attributes:
        name: as it is written in a pipeline file.
        type: in words, with its bounds: "whole number >= 1 or null".
        required: whether it has no default.
        default: plain data; None also where it is required.
        meaning: a sentence or more; None where the component says nothing.
    """

    name: str
    type: str
    required: bool
    default: Any
    meaning: str | None


class Options(NamedTuple):
    """All options of a component.

    Attributes:
        options: in the order in which it declares them.
        others: whether it takes further keys, of any name.
    """

    options: tuple[Option, ...]
    others: bool


def component_options(kind: Kind, name: str) -> Options:
    """The options that the component called `name` takes: built in, from an entry point, or by import path.

    Raises:
        PipelineError: no such component.
    """
    model = options_model(kind, name)
    component = resolve(kind, name)
    documents = [inspect.getdoc(component), *(base.__doc__ for base in reversed(model.__mro__))]
    if inspect.isclass(component):
        documents.insert(1, component.__init__.__doc__)
    return model_options(model, *documents)


def model_options(model: type[BaseModel], *docstrings: str | None) -> Options:
    """The fields of a pydantic class as options.

    Args:
        model: of the options.
        docstrings: give the meaning of a field that has no description; the last one wins.
    """
    documented: dict[str, str] = {}
    for docstring in docstrings:
        documented |= documented_arguments(docstring)
    options = []
    for key, field in model.model_fields.items():
        name = field.alias or key
        meaning = field.description or documented.get(name) or documented.get(key)
        words = type_in_words(field.annotation, field.metadata)
        options.append(Option(name, words, field.is_required(), _default(field), _sentence(meaning)))
    return Options(tuple(options), model.model_config.get("extra") == "allow")


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    try:
        value = field.get_default(call_default_factory=True)
        return TypeAdapter(Any).dump_python(value, mode="json")
    except Exception:
        # A default that no pipeline file can hold, such as an object of a class that the component defines.
        return repr(field.default)


def _sentence(text: str | None) -> str | None:
    if not text:
        return None
    text = " ".join(text.split())
    # "samples: every sample ..." begins with a value, which stays as it is written in a file.
    first = text[0].upper() if text.partition(" ")[0].strip(",.;").isalpha() else text[0]
    return first + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
