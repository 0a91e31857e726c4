"""Checks the search space of `tune` against the schema before anything starts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pipelines.config.document import Document, KeyPath, Problem
from pipelines.config.overrides import address, assign
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.tune_section import Domain, domain
from pipelines.config.sections.update_section import RETUNED
from pipelines.config.shorthand import write_out
from pipelines.config.validation import add, pipeline_of

_FIXED = ("name", "storage", "tracking", "scaling", "gate", "update", "tune", "published")


def check_space(document: Document) -> None:
    """Set every path of `tune.space` to the ends of its domain, or to each choice, and report what is then invalid."""
    space = document.get(("tune", "space"))
    if not isinstance(space, dict) or not isinstance(document.data, dict):
        return
    base = _copy(document)
    pipeline_of(base)
    for path, text in space.items():
        place: KeyPath = ("tune", "space", path)
        try:
            searched = domain(text)
        except ValueError:
            # The schema reports it.
            continue
        try:
            keys = address(document, path)
            if keys[0] in _FIXED:
                raise PipelineError(f"{keys[0]} does not influence what is learned and cannot be searched")
            _check_domain(document, base, place, keys, searched)
            if document.get(("update", "retune")) is not None and path.startswith(RETUNED):
                # There it changes in the middle of a stream, as if by train.per_experience.
                changing = path.removeprefix("train.")
                _check_domain(document, base, place, address(document, f"train.per_experience.1.{changing}"), searched)
        except PipelineError as error:
            add(document, [Problem(place, str(error))])


def _check_domain(document: Document, base: Document, place: KeyPath, keys: KeyPath, searched: Domain) -> None:
    known = {(problem.path, problem.message, problem.got) for problem in base.problems}
    for where, value in searched.probes():
        trial = _copy(document)
        assign(trial, keys, copy.deepcopy(value), "")
        write_out(trial)
        pipeline_of(trial)
        found = [p for p in trial.problems if (p.path, p.message, p.got) not in known]
        for problem in found:
            message = problem.message
            if problem.path != keys:
                message = f"{'.'.join(map(str, problem.path))}: {message}"
            if len(where) == 1:
                message = f"values between the bounds are refused: {message} (randint and quniform give whole numbers)"
            add(document, [Problem(message=message, path=(*place, *where), got=problem.got)])
        if found and searched.kind not in ("choice", "grid"):
            return


def _copy(document: Document) -> Document:
    return Document(document.source, copy.deepcopy(without_search(document.data)), dict(document.origins))


def without_search(data: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline's document without the search: without its section `tune`, and what needs it."""
    rest = {key: value for key, value in data.items() if key != "tune"}
    if isinstance(rest.get("update"), dict):
        rest["update"] = {key: value for key, value in rest["update"].items() if key != "retune"}
    return rest
