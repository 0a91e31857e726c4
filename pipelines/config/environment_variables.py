"""Environment variables in a pipeline file: in `storage` and `tracking`, nowhere else."""

from __future__ import annotations

import os
import re
from typing import Any

from pipelines.config.document import Document, KeyPath, Problem

DEFAULT_STORAGE = "${EVERLEARN_STORAGE:-.everlearn/store}"
DEFAULT_TRACKING = "${MLFLOW_TRACKING_URI:-sqlite:///.everlearn/mlflow.db}"

# $${ is an escaped, literal ${.
_REFERENCE = re.compile(r"(\$?)\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\})?")
_PLACES = ("storage", "tracking")


def expand(text: str) -> str:
    """`text` with ${NAME} and ${NAME:-default} replaced; the default replaces an unset or empty variable.

    Raises:
        ValueError: a variable without default is not set, or the text cannot be read.
    """

    def value(reference: re.Match[str]) -> str:
        escaped, name, default = reference.groups()
        if escaped:
            return reference[0][1:]
        if name is None:
            raise ValueError("'${' must begin ${NAME} or ${NAME:-default}; a literal one is written $${")
        found = os.environ.get(name)
        if default is not None:
            return found or default
        if found is None:
            raise ValueError(f"the environment variable {name} is not set; ${{{name}:-default}} would give a default")
        try:
            found.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the environment variable {name} is not valid UTF-8") from None
        return found

    return _REFERENCE.sub(value, text)


def escape(text: str) -> str:
    """`text`, escaped so that `expand` returns it unchanged."""
    return text.replace("${", "$${")


def substitute(document: Document) -> None:
    """Expand the variables of `storage` and `tracking` in place; a `${` elsewhere becomes a problem."""
    if not isinstance(document.data, dict):
        return
    for key, value in document.data.items():
        if key in _PLACES:
            document.data[key] = _expand_all(document, (key,), value)
        else:
            _refuse(document, (key,), value)


def _expand_all(document: Document, path: KeyPath, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expand_all(document, (*path, key), inner) for key, inner in value.items()}
    if isinstance(value, str):
        try:
            return expand(value)
        except ValueError as error:
            document.problems.append(Problem(path, str(error)))
    return value


def _refuse(document: Document, path: KeyPath, value: Any) -> None:
    if (isinstance(value, str) and "${" in value) or "${" in str(path[-1]):
        document.problems.append(
            Problem(
                path,
                "environment variables are read in storage and tracking only, "
                "so that a file describes the same training everywhere",
            )
        )
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse(document, (*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse(document, (*path, index), inner)
