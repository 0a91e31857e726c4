"""Settings that a search has found in the middle of a stream, which its later experiences are trained with.

Each experience is trained with the settings of the pipeline file, those that were found before it in their place, and
those that the file names for this one experience (`train.per_experience`) in the place of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipelines.config.sections.train_section import merge_train

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline


def with_found(
    pipeline: Pipeline, settings: Mapping[int, Mapping[str, Any]], indices: Iterable[int] | None = None
) -> Pipeline:
    """The pipeline as its experiences are trained; itself, where nothing was found.

    Args:
        settings: what was found, by experience: values by path, such as `strategy.ewc.lambda` (`Stream.settings`).
        indices: the experiences that are asked for; None: all of them.
    """
    chosen = settings if indices is None else {index: settings[index] for index in indices if index in settings}
    if not chosen:
        return pipeline
    given = pipeline.train.per_experience
    found = {i: _merged(as_override(pipeline, values), given.get(i, {})) for i, values in chosen.items()}
    train = pipeline.train.model_copy(update={"per_experience": {**given, **found}})
    return pipeline.model_copy(update={"train": train})


def as_override(pipeline: Pipeline, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by path, such as `strategy.ewc.lambda`, as an entry of `train.per_experience`."""
    override: dict[str, Any] = {}
    for path, value in sorted(settings.items(), key=lambda item: item[0].count(".")):
        section, _, rest = path.partition(".")
        keys = rest.split(".") if section == "train" else ["strategy", *_strategy(pipeline, rest)]
        target = override
        for key in keys[:-1]:
            target = target.setdefault(key, {})
        target[keys[-1]] = value
    return override


def _strategy(pipeline: Pipeline, rest: str) -> list[str]:
    """The name of a strategy and the keys of its option. A name by import path has dots of its own."""
    names = {spec.name: spec.name for spec in pipeline.strategy}
    names |= {str(place): spec.name for place, spec in enumerate(pipeline.strategy)}
    name = max((name for name in names if rest.startswith(f"{name}.")), key=len)
    return [names[name], *rest[len(name) + 1 :].split(".")]


def _merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    merged = merge_train(_without_strategy(base), _without_strategy(override))
    both = {**(base.get("strategy") or {})}
    for name, options in (override.get("strategy") or {}).items():
        both[name] = {**both.get(name, {}), **options}
    return merged | ({"strategy": both} if both else {})


def _without_strategy(override: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in override.items() if key != "strategy"}
