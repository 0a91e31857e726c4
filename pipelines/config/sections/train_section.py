"""The `train` part of a pipeline file: how each experience is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipelines.config.component_options import validate
from pipelines.config.document import KeyPath
from pipelines.config.messages import explain
from pipelines.config.sections.section import Count, NamedSpec, OptionsSpec, Positive, Spec, refuse
from strategies.api.influence import LEARNED, NOT_LEARNED, Influence


class OptimizerSpec(NamedSpec):
    """A torch optimiser.

    Attributes:
        name: `sgd`, `adam`, `adamw`, `rmsprop` or `adagrad`.
        lr: the learning rate.
        reset: whether every experience starts with a fresh optimiser state.
    """

    name: Annotated[str, LEARNED] = "adam"
    lr: Annotated[Positive, LEARNED] = 1e-3
    reset: Annotated[bool, LEARNED] = False

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of torch's class, the learning rate included."""
        return {"lr": self.lr, **self.extras}


class SchedulerSpec(OptionsSpec):
    """A learning-rate scheduler of torch, stepped at each optimiser step; the other keys are its arguments.

    Attributes:
        name: the class in torch.optim.lr_scheduler, such as CosineAnnealingLR.
    """


class TrainSpec(Spec):
    """How one experience is trained.

    Attributes:
        steps: optimiser steps for each experience.
        epochs: passes over each experience; exactly one of `epochs` (1 by default) and `steps` is given.
        batch_size: samples in a global batch, over all workers.
        optimizer: the optimiser and its options.
        scheduler: the learning-rate scheduler and its options; None: the learning rate stays as it is.
        warmup: optimiser steps over which the learning rate grows to its value.
        clip: the largest norm of the gradient; None: no limit.
        accumulate: number of passes that one batch is divided into, to save memory. Nothing else changes, except that
            layers with batch statistics (batch normalisation) take them over each part.
        precision: `float32`, or `bf16` for autocast to bfloat16. With `bf16` the number of workers changes what is
            learned, because numbers are rounded to about three digits: one or two of 40 predictions may differ.
        last_batch: what happens with the samples left at the end of an epoch. `keep`: they are a smaller batch. `drop`:
            they are left out of this epoch; which ones differs from epoch to epoch. `merge`: they are added to the
            batch before. An experience of less than a batch is one batch; with steps every batch is full.
        freeze: patterns of the names of parameters that are not trained, such as ["encoder.*"], in which * stands for
            any text, dots included. Layers with running statistics in what is frozen do not change these either.
        checkpoint_every: how often a checkpoint is saved within an experience: a number of steps, or seconds such as
            30s; 0 is never.
        per_experience: other values of these keys by experience index, such as {3: {epochs: 2}}; under `strategy`,
            other values of strategy options by strategy name.
    """

    steps: Annotated[Count | None, LEARNED] = None
    epochs: Annotated[Count | None, LEARNED] = Field(
        default_factory=lambda data: 1 if data.get("steps") is None else None
    )
    batch_size: Annotated[Count, LEARNED] = 128
    optimizer: Annotated[OptimizerSpec, LEARNED] = OptimizerSpec()
    scheduler: Annotated[SchedulerSpec | None, LEARNED] = None
    warmup: Annotated[int, Field(ge=0), LEARNED] = 0
    clip: Annotated[Positive | None, LEARNED] = None
    accumulate: Annotated[Count, NOT_LEARNED] = 1
    precision: Annotated[Literal["float32", "bf16"], LEARNED] = "float32"
    last_batch: Annotated[Literal["keep", "drop", "merge"], Influence(added="0.2")] = "keep"
    freeze: Annotated[list[Annotated[str, Field(min_length=1)]], Influence(added="0.2")] = Field(default_factory=list)
    checkpoint_every: Annotated[
        Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[1-9]\d{0,6}s$")], NOT_LEARNED
    ] = "60s"
    per_experience: Annotated[dict[Annotated[int, Field(ge=0)], dict[str, Any]], NOT_LEARNED] = Field(
        default_factory=dict
    )

    def at(self, index: int) -> TrainSpec:
        """The settings of experience `index`: its overrides merged in, `per_experience` left out."""
        override = {key: value for key, value in self.per_experience.get(index, {}).items() if key != "strategy"}
        base = {key: value for key, value in self.to_document().items() if key != "per_experience"}
        spec, _ = validate(TrainSpec, merge_train(base, override))
        assert isinstance(spec, TrainSpec)
        return spec

    @property
    def checkpoint_interval(self) -> int | float | None:
        """Steps (int) or seconds (float) between two checkpoints; None: never."""
        every = self.checkpoint_every
        return float(every[:-1]) if isinstance(every, str) else every or None

    def strategy_options(self, index: int) -> dict[str, dict[str, Any]]:
        """Overrides of strategy options in experience `index`, by strategy name."""
        return dict(self.per_experience.get(index, {}).get("strategy") or {})

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems: list[tuple[KeyPath, str]] = []
        if self.epochs is not None and self.steps is not None:
            problems.append((("steps",), "give epochs or steps, not both"))
        if self.epochs is None and self.steps is None:
            problems.append((("epochs",), "give epochs or steps"))
        if self.accumulate > self.batch_size:
            problems.append((("accumulate",), f"must be at most batch_size, which is {self.batch_size}"))
        if not problems:
            for index, override in self.per_experience.items():
                problems += _override_problems(self, index, override)
        refuse(problems)
        return self


def merge_train(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """The train section `base` with `override` merged in.

    Mappings are merged key by key, unless they name another optimiser or scheduler: then its options replace the old
    ones. `steps` in the override replaces `epochs`, and the other way round.
    """
    merged = dict(base)
    for one, other in (("steps", "epochs"), ("epochs", "steps")):
        if override.get(one) is not None and override.get(other) is None:
            merged.pop(other, None)
    for key, value in override.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            same = "name" not in value or value["name"] == before.get("name")
            merged[key] = {**before, **value} if same else dict(value)
        else:
            merged[key] = value
    return merged


def _override_problems(spec: TrainSpec, index: int, override: Mapping[str, Any]) -> list[tuple[KeyPath, str]]:
    place: KeyPath = ("per_experience", str(index))
    if "per_experience" in override:
        return [((*place, "per_experience"), "cannot hold another per_experience")]
    if "freeze" in override:
        text = (
            "holds for the whole stream, because what strategies keep of the parameters depends on it: set train.freeze"
        )
        return [((*place, "freeze"), text)]
    try:
        spec.at(index)
    except ValidationError as error:
        return [((*place, *problem.path), problem.text) for problem in explain(error, TrainSpec, override)]
    return []
