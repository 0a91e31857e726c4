"""GDumb: train on the memory alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from strategies.api.data import Experience, Samples
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.memory.memory_samples import MemorySamples
from strategies.memory.rehearsal import MemoryOptions, Rehearsal


class GDumbOptions(MemoryOptions):
    """Options of `gdumb`: those of its memory, which is class-balanced by default."""

    policy: Annotated[Literal["uniform", "class-balanced"], LEARNED] = Field(
        default="class-balanced",
        json_schema_extra={"fixed": True},
        description=MemoryOptions.model_fields["policy"].description,
    )


class GDumb(Rehearsal):
    """GDumb: Prabhu, Torr & Dokania 2020, A simple approach that questions our progress in continual learning.

    The greedy sampler keeps a class-balanced memory (algorithm 1), the dumb learner trains a model from scratch on
    nothing but the memory. Here the model is trained from scratch in every experience: the experience's samples compete
    for the memory first, model and optimiser are reset to their state before the first experience, and `train` then
    passes over the memory. With `train.epochs` an epoch is one pass over the memory; many are needed (the paper: 256
    with batches of 16).
    """

    name = "gdumb"
    summary = "Keep a class-balanced memory and train on it alone, from scratch, each time"
    paper = "Prabhu, Torr & Dokania 2020, GDumb: a simple approach that questions our progress in continual learning"
    guide = Guide(
        time="training from scratch on the memory: bounded by its size, not by the data",
        memory="`capacity` samples",
        use_when="as a baseline that every other use of a memory has to beat",
    )
    starts_afresh = True
    learns_from_blocks = True
    needs_fixed_structure = True
    objectives = ("classification",)
    Options = GDumbOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {"initial": Reduction.GLOBAL}

    options: GDumbOptions

    def __init__(self, options: GDumbOptions | None = None) -> None:
        super().__init__(options)
        self.initial: dict[str, Tensor] = {}

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Reset to the untrained model."""
        if not self.initial:
            self.initial = {name: t.detach().clone() for name, t in learner.model.state_dict().items()}
            return
        learner.model.load_state_dict(self.initial)
        learner.reset_optimizer()

    def training_set(self, learner: Learner, experience: Experience) -> Samples | None:
        """The memory, after the experience's samples have competed for it."""
        self.remember(learner, experience)
        return MemorySamples(self.memory(learner))

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """The memory was filled before training."""

    def state_dict(self) -> dict[str, Tensor]:
        return {f"initial.{name}": tensor for name, tensor in self.initial.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.initial = {name.removeprefix("initial."): tensor for name, tensor in state.items()}
