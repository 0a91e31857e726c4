"""The reference page of the public Python API: the names that the three packages export, from their docstrings."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

from generators.docstrings import Docstring, docstring, entries
from generators.option_table import table

PACKAGES = ("orchestrator", "pipelines", "strategies")

_HEAD = """# The Python API

What the packages export is public: it changes only with a note in the changelog. Names are imported on first use, so
`import orchestrator` alone loads neither Ray nor MLflow nor PyTorch.

"""


def page() -> str:
    """The page in Markdown."""
    return _HEAD + "".join(_package(name) for name in PACKAGES)


def _package(name: str) -> str:
    package = import_module(name)
    public = [(key, getattr(package, key)) for key in getattr(package, "__all__", ())]
    text = f"## `{name}`\n\n{_prose(docstring(package).text)}\n\n"
    return text + "".join(_entry(name, key, thing) for key, thing in public)


def _entry(package: str, name: str, thing: Any) -> str:
    text = f"### `{package}.{name}` {{ #{package}.{name} }}\n\n"
    if inspect.isclass(thing):
        return text + _class(name, thing)
    if callable(thing):
        return text + _function(name, thing)
    return text + f"```python\n{name}: {thing!r}\n```\n\n"


def _class(name: str, kind: type) -> str:
    try:
        signature = _signature(name, kind)
    except (ValueError, TypeError):
        signature = name
    doc = docstring(kind)
    text = f"```python\nclass {signature}\n```\n\n{_body(doc)}"
    if kind.__init__ is not object.__init__ and "__init__" in kind.__dict__:
        text += _body(docstring(kind.__init__))
    members = [(key, value) for key, value in kind.__dict__.items() if not key.startswith("_")]
    for key, value in members:
        function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if isinstance(value, property):
            text += f"#### `{key}`\n\n{_prose(docstring(value).text)}\n\n"
        elif inspect.isfunction(function) and docstring(function).text:
            text += f"#### `{key}` {{ #{kind.__module__}.{name}.{key} }}\n\n{_function(key, function)}"
    return text


def _function(name: str, function: Any) -> str:
    return f"```python\n{_signature(name, function)}\n```\n\n{_body(docstring(function))}"


def _signature(name: str, thing: Any) -> str:
    signature = inspect.signature(thing)
    parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    text = str(signature.replace(parameters=parameters)).replace("'", "")
    # An object as a default has no text that a person could read.
    text = re.sub(r"<[^<>]*>", "...", text)
    line = f"{name}{text}"
    if len(line) <= 100:
        return line
    inside = ",\n    ".join(str(parameter).replace("'", "") for parameter in parameters)
    returns = line.rpartition(" -> ")[2] if " -> " in line else ""
    return re.sub(r"<[^<>]*>", "...", f"{name}(\n    {inside},\n)" + (f" -> {returns}" if returns else ""))


def _body(doc: Docstring) -> str:
    """Text and sections of a docstring."""
    text = f"{_prose(doc.text)}\n\n" if doc.text else ""
    for title, section in doc.sections.items():
        named = entries(section)
        if title in ("Args", "Attributes", "Raises") and named:
            head = "name" if title != "Raises" else "raises"
            text += table((head, "meaning"), [(f"`{key}`", _inline(value)) for key, value in named.items()]) + "\n"
        else:
            text += f"{title}: {_inline(inspect.cleandoc(section))}\n\n"
    return text


def _prose(text: str) -> str:
    """A docstring's text as Markdown: its indented lines are code."""
    return _inline(text)


def _inline(text: str) -> str:
    return re.sub(r"(?<![`\w])\*(?=\w)", r"\\*", text)
