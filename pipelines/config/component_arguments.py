"""Options of a pipeline file as keyword arguments of their component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.config.component_options import validate
from pipelines.config.messages import explain
from pipelines.config.pipeline_errors import PipelineError


def arguments(model: type[BaseModel], options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options, validated by `model`, by their names in the file, with defaults filled in.

    Pipeline files are checked when they are loaded; this is for callers without a pipeline file.

    Args:
        model: the class of the options, from `pipelines.config.component_options`.
        where: the key that holds the options, for messages.

    Raises:
        PipelineError: with all problems.
    """
    given = dict(options)
    try:
        found, _ = validate(model, given)
    except ValidationError as error:
        raise PipelineError(
            f"{where}.{'.'.join(map(str, problem.path))}: {problem.message}"
            + (f", got {problem.got}" if problem.got is not None else "")
            for problem in explain(error, model, given)
        ) from error
    named = {field.alias or name: getattr(found, name) for name, field in model.model_fields.items()}
    return named | (found.model_extra or {})
