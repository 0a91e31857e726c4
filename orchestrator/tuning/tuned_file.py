"""A pipeline file with the settings that a search has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pipelines.config.document import Document, parse
from pipelines.config.overrides import address, apply, assign
from pipelines.config.shorthand import write_out


def tuned_document(text: str, source: str, overrides: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a pipeline file with other values at some paths; what the file does not say stays unsaid.

    Args:
        text: of the file. source: its name.
        overrides: as given to the search by `--set`.
        settings: values by path.

    Raises:
        PipelineError: the file is no longer the one that was searched.
    """
    document = parse(text, source)
    write_out(document)
    apply(document, overrides)
    for path, value in sorted(settings.items(), key=lambda item: item[0].count(".")):
        assign(document, address(document, path), value, f"setting {path}")
        write_out(document)
    return _content(document)


def snippet(document: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The parts of a tuned document that hold searched settings, as YAML that replaces those parts of the file."""
    touched = {path.partition(".")[0] for path in settings}
    return to_yaml({key: value for key, value in document.items() if key in touched})


def to_yaml(document: Mapping[str, Any]) -> str:
    """A document as the YAML of a pipeline file."""
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def _content(document: Document) -> dict[str, Any]:
    content: dict[str, Any] = document.data
    return content
