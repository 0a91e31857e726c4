"""Strategies, datasets, models and objectives by name: built in, from entry points, or given by import path."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import metadata
from typing import Any, Literal, NamedTuple

from pipelines.config.import_path import check_beside, check_origin, check_path, import_component
from pipelines.config.masking import shorten
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.source_text import declared_text, first_line
from pipelines.config.suggest import did_you_mean
from strategies.registry import BUILT_IN as STRATEGIES
from strategies.registry import OBJECTIVES

Kind = Literal["strategies", "datasets", "models", "objectives", "scores"]

DATASETS: dict[str, str] = {
    "digits": "pipelines.data.datasets.digits:load",
    "mnist": "pipelines.data.datasets.mnist:load",
    "fashion-mnist": "pipelines.data.datasets.fashion_mnist:load",
    "csv": "pipelines.data.datasets.csv_files:load",
    "jsonl": "pipelines.data.datasets.jsonl_files:load",
    "npz": "pipelines.data.datasets.npz:load",
    "parquet": "pipelines.data.datasets.parquet:load",
    "text": "pipelines.data.datasets.text_files:load",
    "documents": "pipelines.data.datasets.documents:load",
    "hugging-face": "pipelines.data.datasets.hugging_face:load",
    "image-folder": "pipelines.data.datasets.image_folder:load",
}
MODELS: dict[str, str] = {
    "transformers": "pipelines.models.transformers_encoder:TransformersEncoder",
    "mlp": "pipelines.models.mlp:MLP",
    "cnn": "pipelines.models.cnn:CNN",
    "resnet18": "pipelines.models.resnet18:ResNet18",
    "resnet18-slim": "pipelines.models.resnet18_slim:ResNet18Slim",
    "tabular-mlp": "pipelines.models.tabular_mlp:TabularMLP",
    "ft-transformer": "pipelines.models.ft_transformer:FTTransformer",
}
BUILT_IN: dict[Kind, dict[str, str]] = {
    "strategies": STRATEGIES,
    "datasets": DATASETS,
    "models": MODELS,
    "objectives": OBJECTIVES,
    "scores": {},  # records, in strategies.metrics
}

_SINGULAR: dict[Kind, str] = {
    "strategies": "strategy",
    "datasets": "dataset",
    "models": "model",
    "objectives": "objective",
    "scores": "score",
}


class Component(NamedTuple):
    """One line of `everlearn list`."""

    name: str
    summary: str
    origin: str


class NotImported(PipelineError):
    """A component that is not built in, where the code that a pipeline file names must not be imported."""


_without_own_code: ContextVar[bool] = ContextVar("without_own_code", default=False)


@contextmanager
def without_own_code() -> Iterator[None]:
    """Within the block, only built-in components are resolved: for what reads a pipeline file and trains nothing."""
    token = _without_own_code.set(True)
    try:
        yield
    finally:
        _without_own_code.reset(token)


def own_code_is_left_out() -> bool:
    """Whether this is inside `without_own_code`."""
    return _without_own_code.get()


def is_built_in(kind: Kind, name: str) -> bool:
    """Whether a name means a component of Everlearn itself."""
    return name in BUILT_IN[kind]


def resolve(kind: Kind, name: str) -> Any:
    """The component called `name`, which is not called; no other component is imported.

    Args:
        name: a built-in name, a name registered in the entry point group `everlearn.<kind>`, or `package.module:Name`.
            A path names what is marked, or what a module of the user's own defines (`pipelines.config.import_path`).

    Returns:
        A subclass of `strategies.api.strategy.Strategy` or of `strategies.objectives.objective.Objective`, a
        `strategies.metrics.Score`, or the callable that returns a dataset or a model.

    Raises:
        PipelineError: no such component, it cannot be imported, or a path may not name it. One line, without the place
            in a file.
        NotImported: inside `without_own_code`, where it is not built in.
    """
    if _without_own_code.get() and not is_built_in(kind, name):
        if ":" in name:
            check_path(name)
        raise NotImported(f"{shorten(name)} is not imported here")
    found = _resolve(kind, name)
    if ":" in name:
        check_beside(name)
    return found


@cache
def _resolve(kind: Kind, name: str) -> Any:
    own = ":" in name and name not in BUILT_IN[kind].values()
    if ":" in name:
        component = import_component(name)
    elif name in BUILT_IN[kind]:
        component = import_component(BUILT_IN[kind][name])
    else:
        entry = next((entry for entry in _entry_points(kind) if entry.name == name), None)
        if entry is None:
            raise PipelineError(_unknown(kind, name))
        component = import_component(entry.value)
    if kind == "strategies":
        from strategies.api.strategy import Strategy

        if not (isinstance(component, type) and issubclass(component, Strategy)):
            raise PipelineError(f"{name} is not a strategy, a class derived from strategies.api.strategy.Strategy")
    elif kind == "objectives":
        from strategies.objectives.objective import Objective

        if not (isinstance(component, type) and issubclass(component, Objective)):
            raise PipelineError(
                f"{name} is not an objective, a class derived from strategies.objectives.objective.Objective"
            )
    elif kind == "scores":
        from strategies.metrics import Score

        if not isinstance(component, Score):
            raise PipelineError(f"{name} is not a score, an instance of strategies.metrics.Score")
    elif not callable(component):
        raise PipelineError(f"{name} is not a {_SINGULAR[kind]}, which is a function or a class")
    if own:
        check_origin(component, name, kind, _SINGULAR[kind])
    return component


def declared(kind: Kind, name: str, attribute: str) -> object | None:
    """The value that the module of a named component gives to `attribute`.

    Returns:
        None where the module has no such attribute, or cannot be imported.
    """
    try:
        component = resolve(kind, name)
    except PipelineError:
        return None
    return getattr(sys.modules.get(component.__module__), attribute, None)


def names(kind: Kind) -> list[Component]:
    """All named components of a kind, with a one-line summary and where they come from.

    A component that cannot be imported is listed with the reason. Of the built-ins none is imported.
    """
    found = [_built_in(kind, name) for name in sorted(BUILT_IN[kind])]
    for entry in sorted(_entry_points(kind), key=lambda entry: entry.name):
        if entry.name not in BUILT_IN[kind]:
            found.append(Component(entry.name, _summary(kind, entry.name), _origin(entry)))
    return found


def strategy_family(name: str) -> str:
    """The family of a strategy, by which `everlearn list` sorts them; "" without one.

    Raises:
        PipelineError: no such strategy, or it cannot be imported.
    """
    if name in STRATEGIES:
        return declared_text(STRATEGIES[name], "family")
    return str(resolve("strategies", name).family)


def registered_stores() -> list[str]:
    """Schemes of storage URIs that installed packages register, in the entry point group `everlearn.stores`."""
    return sorted({entry.name for entry in metadata.entry_points(group="everlearn.stores")})


def component(kind: Kind, name: str) -> Component:
    """One component by its name or import path, with a one-line summary and where it comes from.

    Raises:
        PipelineError: no such component, or it cannot be imported.
    """
    if name in BUILT_IN[kind]:
        return _built_in(kind, name)
    resolve(kind, name)
    entry = next((entry for entry in _entry_points(kind) if entry.name == name), None)
    return Component(name, _summary(kind, name), _origin(entry) if entry else "import path")


def _built_in(kind: Kind, name: str) -> Component:
    path = BUILT_IN[kind][name]
    return Component(name, declared_text(path, "summary") or first_line(path), "built-in")


def _origin(entry: metadata.EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _unknown(kind: Kind, name: str) -> str:
    known = sorted({*BUILT_IN[kind], *(entry.name for entry in _entry_points(kind))})
    close = did_you_mean(name, known)
    hint = f", did you mean '{close}'?" if close else "."
    return (
        f"unknown {_SINGULAR[kind]} '{shorten(name)}'{hint} Known: {', '.join(known)}; "
        "your own by import path, such as my_package.module:Name"
    )


def _entry_points(kind: Kind) -> list[metadata.EntryPoint]:
    return list(metadata.entry_points(group=f"everlearn.{kind}"))


def _summary(kind: Kind, name: str) -> str:
    try:
        component = resolve(kind, name)
    except PipelineError as error:
        return str(error)
    summary = getattr(component, "summary", None)
    if isinstance(summary, str):
        return summary
    return (inspect.getdoc(component) or "").partition("\n")[0]
