"""Which methods fit a pipeline file: `strategies.api.selection_rules` for its situation, checked by its schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipelines.build import strategy_class
from pipelines.config.load import with_settings
from pipelines.config.pipeline_errors import PipelineError
from strategies.api.guide import DOMAIN, NEEDS, TASK, needs
from strategies.api.selection_rules import (
    DOMAIN_ADAPTATION,
    FEW_SHOT,
    FINE_TUNING,
    LANGUAGE_MODEL,
    PRETRAINING,
    RULES,
)
from strategies.registry import BUILT_IN

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from strategies.api.selection_rules import Rule


@dataclass(frozen=True)
class Situation:
    """The properties of a file that decide which methods fit.

    Attributes:
        setting: setting of the stream.
        online: whether each sample is shown once.
        memory: samples that may be kept, 0: none; None: neither the file nor the caller limits it.
        task_labels: whether the task of each test sample is given.
        family: of a model that starts from trained weights, one of `strategies.api.selection_rules.FAMILIES`; empty: it
            starts from random ones.
    """

    setting: str
    online: bool
    memory: int | None
    task_labels: bool
    family: str = ""


@dataclass(frozen=True)
class Suggestion:
    """A method that fits, or strategies that fit together.

    Attributes:
        strategies: as in a pipeline file.
        why, source: the reason, and where it comes from.
        needs, time, memory: as the strategies declare them, in their order.
    """

    strategies: list[dict[str, Any]]
    why: str
    source: str
    needs: list[str]
    time: list[str]
    memory: list[str]

    @property
    def title(self) -> str:
        return " + ".join(entry["name"] for entry in self.strategies)


@dataclass(frozen=True)
class Recommendation:
    """The recommendation for one file.

    Attributes:
        situation: the situation that it depends on.
        suggestions: best first.
        unfit: by name, why each other strategy is not suggested.
        current: names of the file's own strategies.
        warnings: what these strategies cannot do in this file.
    """

    situation: Situation
    suggestions: list[Suggestion]
    unfit: dict[str, list[str]]
    current: list[str]
    warnings: list[str]

    @property
    def snippet(self) -> str:
        """The first suggestion as text for a pipeline file; empty without a suggestion."""
        import yaml

        if not self.suggestions:
            return ""
        entries = self.suggestions[0].strategies
        lines = (yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=1000) for entry in entries)
        return "strategy:\n" + "".join(f"  - {line}" for line in lines)

    def to_json(self) -> dict[str, Any]:
        """The document that `everlearn recommend --json` prints."""
        return {
            "situation": asdict(self.situation),
            "suggestions": [asdict(suggestion) for suggestion in self.suggestions],
            "unfit": self.unfit,
            "current": self.current,
            "warnings": self.warnings,
            "snippet": self.snippet,
        }


def recommend(pipeline: Pipeline, memory: int | None = None, *, few: bool = False) -> Recommendation:
    """Which methods fit a pipeline, best first, and why others do not.

    Args:
        memory: samples that may be kept, 0: none; None: as many as the pipeline's own strategies keep.
        few: an experience has few samples, such as 16 of a class.
    """
    situation = Situation(
        setting=pipeline.stream.setting,
        online=pipeline.stream.online,
        memory=_capacity(pipeline) if memory is None else memory,
        task_labels=pipeline.stream.setting == TASK,
        family=_family(pipeline, few),
    )
    suggestions: list[Suggestion] = []
    for rule in RULES:
        entries = _entries(rule, situation) if _applies(rule, situation) else None
        if (
            entries is not None
            and not _refusal(pipeline, entries)
            and entries not in [s.strategies for s in suggestions]
        ):
            suggestions.append(_suggestion(rule, entries))
    fit = {entry["name"] for suggestion in suggestions for entry in suggestion.strategies}
    return Recommendation(
        situation=situation,
        suggestions=suggestions,
        unfit={name: _unfit(pipeline, name, situation) for name in sorted(BUILT_IN) if name not in fit},
        current=[spec.name for spec in pipeline.strategy],
        warnings=pipeline.warnings(),
    )


def _family(pipeline: Pipeline, few: bool) -> str:
    """The family of a pipeline whose model starts from trained weights; empty for others."""
    options = pipeline.model.options
    if not (options.get("pretrained") or pipeline.model.trained_weights):
        return ""
    if pipeline.objective.name == "next-token":
        return LANGUAGE_MODEL if pipeline.stream.dataset.options.get("prompt") else PRETRAINING
    if few:
        return FEW_SHOT
    return DOMAIN_ADAPTATION if pipeline.stream.setting == DOMAIN else FINE_TUNING


def _capacity(pipeline: Pipeline) -> int | None:
    """Samples that the pipeline's strategies keep; None where none of them keeps any."""
    found = [getattr(spec.options, "capacity", None) for spec in pipeline.strategy]
    return max((capacity for capacity in found if capacity is not None), default=None)


def _applies(rule: Rule, situation: Situation) -> bool:
    if situation.setting not in rule.settings or rule.online not in (None, situation.online):
        return False
    if rule.families and situation.family not in rule.families:
        return False
    if situation.memory == 0 and any(strategy_class(name).keeps_samples for name in rule.names):
        return False
    return rule.most is None or (situation.memory is not None and situation.memory <= rule.most)


def _entries(rule: Rule, situation: Situation) -> list[dict[str, Any]]:
    """The rule's strategies with the situation's capacity where they keep samples."""
    entries: list[dict[str, Any]] = [dict(entry) for entry in rule.strategies]
    for entry in entries:
        if situation.memory and "capacity" in strategy_class(entry["name"]).Options.model_fields:
            entry["capacity"] = situation.memory
    return entries


def _refusal(pipeline: Pipeline, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the schema or a strategy refuses these strategies in this pipeline; empty where they fit."""
    try:
        found = with_settings(_bare(pipeline), {"strategy": list(entries)}).warnings()
    except PipelineError as error:
        found = error.problems
    # The reader knows the file, and the strategy is named beside the message.
    return [re.sub(r"^(\S*: )?(setting )?(strategy\S*: )?", "", problem) for problem in found]


def _bare(pipeline: Pipeline) -> Pipeline:
    """The pipeline without settings that only apply to its own strategies."""
    each = {
        index: {key: value for key, value in settings.items() if key != "strategy"}
        for index, settings in pipeline.train.per_experience.items()
    }
    kept = {index: settings for index, settings in each.items() if settings}
    return pipeline.model_copy(update={"train": pipeline.train.model_copy(update={"per_experience": kept})})


def _suggestion(rule: Rule, entries: list[dict[str, Any]]) -> Suggestion:
    kinds = [strategy_class(name) for name in rule.names]
    guides = [kind.guide for kind in kinds if kind.guide is not None]
    needed = {need for kind in kinds for need in needs(kind)}
    return Suggestion(
        strategies=entries,
        why=rule.why,
        source=rule.source,
        needs=[need for need in NEEDS if need in needed],
        time=[guide.time for guide in guides],
        memory=[guide.memory for guide in guides],
    )


def _unfit(pipeline: Pipeline, name: str, situation: Situation) -> list[str]:
    """Why a strategy is not suggested: its own limits first, then what the situation lacks."""
    reasons = _refusal(pipeline, [{"name": name}])
    kind = strategy_class(name)
    if kind.keeps_samples and situation.memory == 0:
        reasons.append(f"{name} keeps samples, and none may be kept")
    if kind.needs_task_labels and not situation.task_labels and not reasons:
        reasons.append(f"{name} needs to know the task of a test sample: {situation.setting} does not give it")
    if kind.bound:
        reasons.append(f"{name} is the {kind.bound} bound, to compare with")
    return reasons or [f"the table has no reason to prefer {name} here; it can be used"]
