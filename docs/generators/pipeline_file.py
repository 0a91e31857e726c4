"""The reference page of the pipeline file: every key of every section."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from generators.docstrings import docstring
from generators.option_table import section_table, table
from pipelines.config.optimizers import OPTIMIZERS
from pipelines.config.schema import ObjectiveSpec, Pipeline, StrategySpec, TrackingSpec
from pipelines.config.sections.capability_section import CapabilitySpec
from pipelines.config.sections.cluster_section import ClusterSpec
from pipelines.config.sections.evaluate_section import EvaluateSpec
from pipelines.config.sections.gate_section import (
    ForgettingCondition,
    GateSpec,
    HoldoutCondition,
    RecentCondition,
    ScoreCondition,
    SlicesCondition,
    WebhookSpec,
)
from pipelines.config.sections.model_section import ModelSpec, WeightsSpec
from pipelines.config.sections.scaling_section import ScalingSpec
from pipelines.config.sections.source_section import BatchSpec, HeldOutSpec, OnSpec, ReadySpec, SourceSpec
from pipelines.config.sections.stream_section import TRANSFORMS, DatasetSpec, StreamSpec, TransformSpec
from pipelines.config.sections.train_section import OptimizerSpec, SchedulerSpec, TrainSpec
from pipelines.config.sections.tune_section import TuneSpec
from pipelines.config.sections.update_section import BudgetSpec, RetuneSpec, UpdateSpec, WhenSpec

_HEAD = """# The pipeline file

A pipeline file is YAML. Each table below lists the keys of one section. A key that is left out has the default.
Wherever a *name* stands, the options of that component may stand beside it: `{name: mlp, hidden: [400]}`; without
options the bare name is enough: `mlp`. Unknown keys are refused, with the line and the closest key that exists.

`--set KEY=VALUE` sets any of them from the command line by its dotted path, for example `--set train.epochs=5` or
`--set strategy.ewc.lambda=100` (strategies by their names).

"""


class Section(NamedTuple):
    """One section of the file: its heading, its class, and a word on what else belongs there."""

    path: str
    model: type[BaseModel]
    note: str = ""


SECTIONS = (
    Section("", Pipeline),
    Section("stream", StreamSpec),
    Section("stream.dataset", DatasetSpec, "The other keys are the dataset's options: see [datasets](datasets.md)."),
    Section("stream.source", SourceSpec, "A stream with a source has no `dataset`."),
    Section("stream.source.test", HeldOutSpec),
    Section("stream.source.ready", ReadySpec),
    Section("stream.source.batch", BatchSpec),
    Section("stream.source.on", OnSpec),
    Section("stream.transform", TransformSpec, "The other keys are the transform's options, below."),
    Section("model", ModelSpec, "The other keys are the model's options: see [models](models.md)."),
    Section("model.weights", WeightsSpec, "See [start from trained weights](../how-to/trained-weights.md)."),
    Section(
        "objective",
        ObjectiveSpec,
        "The other keys are the objective's options: see [objectives](objectives.md).",
    ),
    Section("capabilities", CapabilitySpec, "A list. See [know what a model lost](../how-to/capabilities.md)."),
    Section(
        "strategy", StrategySpec, "A list. The other keys are the strategy's options: see [strategies](strategies.md)."
    ),
    Section("train", TrainSpec),
    Section("train.optimizer", OptimizerSpec, "The other keys are the optimiser's options, below."),
    Section("train.scheduler", SchedulerSpec, "The arguments are those of torch's class, the optimiser left out."),
    Section("evaluate", EvaluateSpec, "See [long streams](../concepts/metrics.md#long-streams)."),
    Section("capabilities", CapabilitySpec, "A list. See [capabilities](../how-to/capabilities.md)."),
    Section("scaling", ScalingSpec),
    Section("tracking", TrackingSpec),
    Section("cluster", ClusterSpec),
    Section("gate", GateSpec, "See [gate and promotion](../how-to/gate.md)."),
    Section("gate.score", ScoreCondition),
    Section("gate.forgetting", ForgettingCondition),
    Section("gate.holdout", HoldoutCondition),
    Section("gate.recent", RecentCondition),
    Section("gate.slices", SlicesCondition),
    Section("gate.notify", WebhookSpec, "A list."),
    Section("update", UpdateSpec, "See [streams that never end](../how-to/streams.md#when-it-is-trained)."),
    Section("update.when", WhenSpec, "Or `any`, or `drift`."),
    Section("update.retune", RetuneSpec),
    Section("update.budget", BudgetSpec),
    Section("tune", TuneSpec, "`metric` takes the names of the [metrics](metrics.md), and so does `published`."),
)

_DOMAINS = (
    ("`uniform: [low, high]`", "a number between the bounds"),
    ("`loguniform: [low, high]`", "a number between the bounds, its logarithm uniform; bounds above 0"),
    ("`quniform: [low, high, step]`", "a multiple of `step`"),
    ("`randint: [low, high]`", "a whole number from `low` to `high` - 1"),
    ("`choice: [a, b, ...]`", "one of these"),
    ("`grid: [a, b, ...]`", "every one of these, with `search: grid`"),
)


def page() -> str:
    """The page in Markdown."""
    return _HEAD + "".join(_section(section) for section in SECTIONS) + _transforms() + _optimizers() + _domains()


def _section(section: Section) -> str:
    title = f"## `{section.path}`" if section.path else "## Top level"
    note = f"{section.note}\n\n" if section.note else ""
    text = f"{docstring(section.model).text}\n\n" if section.path else ""
    return f"{title}\n\n{text}{note}{section_table(section.model)}\n"


def _transforms() -> str:
    text = "## Options of transforms\n\n"
    for name, model in TRANSFORMS.items():
        text += f"### `{name}`\n\n{section_table(model) if model.model_fields else 'No options.'}\n\n"
    return text


def _optimizers() -> str:
    text = "## Options of optimisers\n\nAn option that is not given has torch's own default.\n\n"
    for names in _alike():
        text += f"### {', '.join(f'`{name}`' for name in names)}\n\n{section_table(OPTIMIZERS[names[0]])}\n"
    return text


def _alike() -> list[list[str]]:
    """The names of optimisers that take the same options, together."""
    groups: dict[type[OptimizerSpec], list[str]] = {}
    for name, model in OPTIMIZERS.items():
        groups.setdefault(model, []).append(name)
    return list(groups.values())


def _domains() -> str:
    return "## Domains of `tune.space`\n\n" + table(("domain", "what is tried"), _DOMAINS)
