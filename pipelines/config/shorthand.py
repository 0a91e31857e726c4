"""The short forms of a pipeline file, written out: a name means {name: ...}, one strategy means a list of one."""

from __future__ import annotations

from typing import Any

from pipelines.config.document import Document, KeyPath
from pipelines.config.sections.source_section import write_out_source

_NAMED: tuple[KeyPath, ...] = (
    ("stream", "dataset"),
    ("stream", "transform"),
    ("model",),
    ("objective",),
    ("train", "optimizer"),
    ("train", "scheduler"),
)
_SECTIONS = ("train", "scaling", "tracking")


def write_out(document: Document) -> None:
    """Replace the short forms in place. The schema refuses values of any other shape."""
    data = document.data
    if not isinstance(data, dict):
        return
    for section in _SECTIONS:
        # A section whose lines are all commented out.
        if section in data and data[section] is None:
            del data[section]
    write_out_source(document)
    for path in _NAMED:
        _name(document, path)
    overrides = document.get(("train", "per_experience"))
    if isinstance(overrides, dict):
        for index in overrides:
            _name(document, ("train", "per_experience", index, "optimizer"))
            _name(document, ("train", "per_experience", index, "scheduler"))
    strategy = data.get("strategy")
    if isinstance(strategy, (str, dict)):
        data["strategy"] = [strategy]
        inner = [path for path in document.origins if path[0:1] == ("strategy",) and len(path) > 1]
        for path in inner:
            document.origins[("strategy", 0, *path[1:])] = document.origins.pop(path)
        document.origins[("strategy", 0)] = document.origin(("strategy",))[0]
    if isinstance(data.get("strategy"), list):
        for index in range(len(data["strategy"])):
            _name(document, ("strategy", index))


def _name(document: Document, path: KeyPath) -> None:
    value = document.get(path)
    if isinstance(value, str):
        parent: Any = document.get(path[:-1])
        parent[path[-1]] = {"name": value}
        document.origins[(*path, "name")] = document.origin(path)[0]
