"""Validation of a document against the schema, and of the options of each component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.config.component_options import options_model, takes_option, validate
from pipelines.config.document import Document, KeyPath, Problem, one_line
from pipelines.config.messages import explain, unknown_key
from pipelines.config.named_scores import declare_own_scores
from pipelines.config.optimizers import optimizer_model, scheduler_model
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import ObjectiveSpec, Pipeline, StrategySpec
from pipelines.config.sections.model_section import ModelSpec
from pipelines.config.sections.section import NamedSpec
from pipelines.config.sections.stream_section import DatasetSpec, TransformSpec, transform_options
from pipelines.config.sections.train_section import OptimizerSpec, SchedulerSpec, merge_train

ModelOf = Callable[[str], type[BaseModel]]

_OPTIMIZER = {"name": OptimizerSpec().name}
_TORCH: dict[str, tuple[type[NamedSpec], ModelOf]] = {
    "optimizer": (OptimizerSpec, optimizer_model),
    "scheduler": (SchedulerSpec, scheduler_model),
}


def pipeline_of(document: Document) -> Pipeline | None:
    """The pipeline that the document describes; None if it is invalid, with the reasons in the document's problems.

    Options of strategies that are not given are filled into the document with their defaults.
    """
    if not isinstance(document.data, dict):
        empty = document.data is None
        what = "the file is empty" if empty else "must be a mapping of keys such as name: and stream:"
        add(document, [Problem((), what)])
        return None
    if not isinstance(document.get(("stream", "source")), dict):
        _check_named(document, ("stream", "dataset"), DatasetSpec, partial(options_model, "datasets"))
    _check_named(document, ("stream", "transform"), TransformSpec, transform_options)
    _check_named(document, ("model",), ModelSpec, partial(options_model, "models"))
    _check_objective(document)
    _check_strategies(document)
    _check_named(document, ("train", "optimizer"), OptimizerSpec, optimizer_model, _OPTIMIZER)
    _check_named(document, ("train", "scheduler"), SchedulerSpec, scheduler_model)
    overrides = document.get(("train", "per_experience"))
    for index, override in overrides.items() if isinstance(overrides, dict) else ():
        if isinstance(override, dict):
            _check_override(document, ("train", "per_experience", index), override)
    pipeline = None
    declare_own_scores(document.data)
    try:
        pipeline = validate(Pipeline, document.data)[0]
    except ValidationError as error:
        add(document, explain(error, Pipeline, document.data))
    return pipeline if isinstance(pipeline, Pipeline) and not document.problems else None


def add(document: Document, problems: list[Problem], at: KeyPath = ()) -> None:
    """Add problems, whose paths start at `at`, except where a problem is known already."""
    known = {problem.path for problem in document.problems}
    for problem in problems:
        problem.path = (*at, *problem.path)
        if problem.path not in known:
            document.problems.append(problem)


def _check_objective(document: Document) -> None:
    """Check the objective, and leave out what is at its default: it is the same objective without it."""
    at: KeyPath = ("objective",)
    options = _check_named(document, at, ObjectiveSpec, partial(options_model, "objectives"))
    if options is not None:
        entry = document.get(at)
        kept = options.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        document.data["objective"] = {"name": entry["name"], **kept}


def _check_strategies(document: Document) -> None:
    strategies = document.get(("strategy",))
    for index, entry in enumerate(strategies) if isinstance(strategies, list) else ():
        at: KeyPath = ("strategy", index)
        options = _check_named(document, at, StrategySpec, partial(options_model, "strategies"))
        if options is not None:
            own = {key: value for key, value in entry.items() if key in StrategySpec.model_fields}
            strategies[index] = {**own, **_plain(document, at, options)}


def _check_named(
    document: Document,
    at: KeyPath,
    spec: type[NamedSpec],
    model_of: ModelOf,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> BaseModel | None:
    entry = document.get(at)
    if not isinstance(entry, dict):
        return None
    problems: list[Problem] = []
    options, understood = _checked({**defaults, **entry}, spec, model_of, problems)
    add(document, problems, at)
    entry.update(understood)
    return options


def _checked(
    entry: Mapping[str, Any], spec: type[NamedSpec], model_of: ModelOf, problems: list[Problem]
) -> tuple[BaseModel | None, dict[str, Any]]:
    """The options of one component, as its own class and as plain data; problems are added to `problems`.

    Args:
        spec: the part of the schema; the fields that it declares are no options, the schema checks them.
    """
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        # The schema reports it.
        return None, {}
    try:
        model = model_of(name)
    except PipelineError as error:
        problems.append(Problem(("name",), str(error)))
        return None, {}
    except Exception as error:
        problems.append(Problem(("name",), f"the options of {name} cannot be read: {_reason(error)}"))
        return None, {}
    own = () if issubclass(model, spec) else set(spec.model_fields) - _own_weights(spec, name)
    given = {key: value for key, value in entry.items() if key not in own}
    try:
        options, understood = validate(model, given)
    except ValidationError as error:
        problems.extend(explain(error, model, given))
        return None, {}
    except Exception as error:
        problems.append(Problem((), f"the options of {name} cannot be checked: {_reason(error)}"))
        return None, {}
    return options, understood


def _own_weights(spec: type[NamedSpec], name: str) -> set[str]:
    """`weights`, where the model has an option of that name."""
    return {"weights"} if spec is ModelSpec and takes_option("models", name, "weights") else set()


def _plain(document: Document, at: KeyPath, options: BaseModel) -> dict[str, Any]:
    try:
        return options.model_dump(mode="json", by_alias=True)
    except Exception as error:
        add(document, [Problem(at, f"its options cannot be written as plain data: {_reason(error)}")])
        return {}


def _check_override(document: Document, at: KeyPath, override: dict[str, Any]) -> None:
    """Check the options of one experience: merged into the general ones, they must be valid."""
    train = document.get(("train",))
    base = {"optimizer": train.get("optimizer", _OPTIMIZER), "scheduler": train.get("scheduler")}
    merged = merge_train(base, override)
    for key, (spec, model_of) in _TORCH.items():
        if isinstance(override.get(key), dict) and isinstance(merged[key], dict):
            _check_merged(document, (*at, key), merged[key], base[key] or {}, spec, model_of)
    strategies = override.get("strategy")
    if strategies is None:
        return
    listed = document.get(("strategy",))
    entries = listed if isinstance(listed, list) else [{"name": "naive"}]
    by_name = {entry["name"]: entry for entry in entries if isinstance(entry, dict) and type(entry.get("name")) is str}
    if not isinstance(strategies, dict):
        add(document, [Problem((*at, "strategy"), "must be a mapping of options by name such as {ewc: {lambda: 100}}")])
        return
    for name, options in strategies.items():
        place = (*at, "strategy", name)
        if name not in by_name:
            text = unknown_key(name, list(by_name)).replace("unknown key", "the pipeline has no such strategy")
            add(document, [Problem(place, text)])
        elif not isinstance(options, dict):
            add(document, [Problem(place, "must be a mapping of options such as {lambda: 100}")])
        else:
            options = strategies[name] = _by_alias(options, name)
            strategy_model = partial(options_model, "strategies")
            merged = {**by_name[name], **options}
            _check_merged(document, place, merged, by_name[name], StrategySpec, strategy_model)
            add(document, _changed_for_good(by_name[name], merged, strategy_model), place)


def _check_merged(
    document: Document, at: KeyPath, merged: dict[str, Any], base: Any, spec: type[NamedSpec], model_of: ModelOf
) -> None:
    before: list[Problem] = []
    found: list[Problem] = []
    if isinstance(base, dict) and merged.get("name") == base.get("name"):
        _checked(base, spec, model_of, before)
    _, understood = _checked(merged, spec, model_of, found)
    known = [(problem.path, problem.message, problem.got) for problem in before]
    add(document, [problem for problem in found if (problem.path, problem.message, problem.got) not in known], at)
    override = document.get(at)
    override.update({key: understood[key] for key in override if key in understood})


def _changed_for_good(base: dict[str, Any], merged: dict[str, Any], model_of: ModelOf) -> list[Problem]:
    """Options that hold for the whole stream, but that an experience would change."""
    from strategies.api.strategy import StrategyOptions

    before, now = (_checked(entry, StrategySpec, model_of, [])[0] for entry in (base, merged))
    if not isinstance(before, StrategyOptions) or not isinstance(now, StrategyOptions):
        return []
    fields = type(now).model_fields
    text = (
        "holds for the whole stream, because state that is kept between experiences depends on it: "
        "set it under strategy, for all experiences"
    )
    was = before.fixed()
    return [Problem((fields[n].alias or n,), text) for n, value in now.fixed().items() if value != was[n]]


def _by_alias(options: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        fields = options_model("strategies", name).model_fields
    except Exception:
        # Reported where the strategy is listed.
        return options
    return {(fields[key].alias or key) if key in fields else key: value for key, value in options.items()}


def _reason(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
