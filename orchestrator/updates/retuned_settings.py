"""Settings that a search has changed in the middle of a stream: part of its log, so that the chain can be repeated.

Each experience is trained with the settings of the pipeline file, those of the last search before it in their place,
and those that the file names for this one experience (`train.per_experience`) in the place of both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.config.sections.train_section import merge_train

if TYPE_CHECKING:
    from orchestrator.updates.admission_record import AdmittedExperience, SettingsRecord
    from pipelines.config.schema import Pipeline


def retuned(
    pipeline: Pipeline,
    experiences: Sequence[AdmittedExperience],
    settings: Sequence[SettingsRecord],
    left_out: Collection[str] = (),
) -> Pipeline:
    """The pipeline as these experiences are trained. The same pipeline where no search has changed anything.

    Args:
        experiences: of the log.
        settings: of the log, oldest first.
        left_out: fingerprints (training set:test set) of experiences that were rolled back: those after count one less.
    """
    if not settings:
        return pipeline
    given = pipeline.train.per_experience
    kept = [one for one in experiences if f"{one.fingerprint}:{one.test_fingerprint}" not in left_out]
    changed: dict[int, dict[str, Any]] = {}
    for index, one in enumerate(kept):
        known = [record.values for record in settings if record.since <= one.serial]
        if known:
            changed[index] = _merged(as_override(pipeline, known[-1]), given.get(index, {}))
    train = pipeline.train.model_copy(update={"per_experience": {**given, **changed}})
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
