"""Reading pipeline files."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model

from pipelines.config.check_space import check_space, without_search
from pipelines.config.components import without_own_code
from pipelines.config.document import MAX_BYTES, Document, Problem, one_line, parse
from pipelines.config.environment_variables import substitute
from pipelines.config.import_path import modules_beside
from pipelines.config.overrides import address, apply, assign
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from pipelines.config.shorthand import write_out
from pipelines.config.validation import pipeline_of


def load_pipeline(path: str | Path, overrides: Sequence[str] = (), *, import_code: bool = True) -> Pipeline:
    """Read a pipeline file.

    Args:
        path: of the YAML file.
        overrides: values to set, such as "train.epochs=2"; see `pipelines.config.overrides`.
        import_code: import the components that are not built in, and check their options. Without, their options are
            taken as they are written: enough for what trains nothing.

    Raises:
        PipelineError: all problems of the file and the overrides, each with its line.
    """
    with modules_beside(Path(path)) if import_code else without_own_code():
        return load_text(_read(Path(path)), str(path), overrides)


def load_place(path: str | Path, overrides: Sequence[str] = ()) -> tuple[str, str]:
    """The name and the storage of a pipeline, without importing its strategies, dataset and model.

    Raises:
        PipelineError: as `load_pipeline`, if the text, the overrides, the name or the storage are wrong.
    """
    document = parse(_read(Path(path)), str(path))
    write_out(document)
    with contextlib.suppress(PipelineError, ValidationError):
        apply(document, overrides)
        substitute(document)
        if isinstance(document.data, dict) and not document.problems:
            fields: dict[str, Any] = {key: (str, Pipeline.model_fields[key]) for key in ("name", "storage")}
            given = {key: document.data[key] for key in fields if key in document.data}
            place: Any = create_model("Place", **fields)(**given)
            return place.name, place.storage
    pipeline = load_pipeline(path, overrides)
    return pipeline.name, pipeline.storage


def locate(problem: str, path: str | Path, overrides: Sequence[str] = ()) -> str:
    """The message of a problem that was found when the data was read, with its line or override.

    `problem` names a key, as in "stream.experiences: 20 experiences, but ..."; without a key it is returned unchanged.
    """
    key, _, message = problem.partition(": ")
    try:
        document = parse(_read(Path(path)), str(path))
        write_out(document)
        apply(document, overrides)
        keys = address(document, key)
    except PipelineError:
        return problem
    return problem if not message or document.get(keys[:1]) is None else document.describe(Problem(keys, message))


def load_text(text: str, source: str = "<text>", overrides: Sequence[str] = ()) -> Pipeline:
    """Read the text of a pipeline file; `source` is its name in error messages.

    Raises:
        PipelineError: all problems of the text and the overrides, each with its line.
    """
    document = parse(text, source)
    write_out(document)
    refused: PipelineError | None = None
    try:
        apply(document, overrides)
    except PipelineError as error:
        refused = error
    substitute(document)
    pipeline = pipeline_of(document)
    check_space(document)
    if document.problems or refused:
        raise PipelineError([*document.error().problems, *(refused.problems if refused else ())])
    assert pipeline is not None
    return pipeline


def with_settings(pipeline: Pipeline, settings: Mapping[str, Any]) -> Pipeline:
    """The pipeline with other values at some dotted paths, such as {"strategy.ewc.lambda": 1000.0}, and without `tune`.

    Raises:
        PipelineError: a path that does not exist, or a value that is not valid there.
    """
    # Through JSON, in which all keys are text.
    document = Document(pipeline.name, without_search(json.loads(json.dumps(pipeline.to_document()))))
    for path, value in sorted(settings.items(), key=lambda item: item[0].count(".")):
        assign(document, address(document, path), copy.deepcopy(value), f"setting {path}")
        write_out(document)
    substitute(document)
    changed = pipeline_of(document)
    if changed is None:
        raise document.error()
    return changed


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise PipelineError(one_line(f"{path}: there is no such file")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PipelineError(one_line(f"{path}: cannot be read: {reason}")) from None
    if len(content) > MAX_BYTES:
        raise PipelineError(one_line(f"{path}: larger than {MAX_BYTES // 1024} KiB"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PipelineError(one_line(f"{path}:{line}: not UTF-8 text")) from None
