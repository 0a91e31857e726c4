"""What the methods with a memory have in common: how the memory is made, filled and stored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from strategies.api.data import Experience, Samples
from strategies.api.influence import LEARNED
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner
from strategies.memory.newcomers import newcomers
from strategies.memory.reservoir import Memory
from strategies.objectives.objective import TargetKind


class MemoryOptions(StrategyOptions):
    """Options of a memory."""

    capacity: Annotated[int, LEARNED] = Field(
        default=2000,
        ge=1,
        description="Samples in the memory. Lowered for an experience, it is trimmed before the first step.",
    )
    policy: Annotated[Literal["uniform", "class-balanced"], LEARNED] = Field(
        default="uniform",
        json_schema_extra={"fixed": True},
        description=(
            "uniform: every sample seen so far is in the memory with the same probability. class-balanced: classes "
            "share the memory evenly."
        ),
    )
    per_class: Annotated[int | None, LEARNED] = Field(
        default=None,
        ge=1,
        json_schema_extra={"fixed": True},
        description="With policy: class-balanced: most samples that one class may keep. null: no such limit.",
    )

    @field_validator("per_class")
    @classmethod
    def _only_balanced(cls, per_class: int | None, info: ValidationInfo) -> int | None:
        if per_class is not None and info.data.get("policy", "class-balanced") != "class-balanced":
            raise ValueError("is for policy: class-balanced: leave it out, or set policy: class-balanced")
        return per_class


class Rehearsal(Strategy):
    """A strategy with a bounded memory, the same on every rank.

    The memory is filled at the end of each experience. In an online stream, unless the strategy asks for boundaries,
    samples compete for it after the step that they were in: the memory is then always a uniform (or balanced) sample of
    the stream so far, the current experience included. At an experience's end it is the same either way.
    """

    family = "rehearsal"
    rehearses = True
    keeps_samples = True
    Options = MemoryOptions

    options: MemoryOptions

    def __init__(self, options: MemoryOptions | None = None) -> None:
        super().__init__(options)
        self._memory: Memory | None = None

    def memory(self, learner: Learner) -> Memory:
        """The memory, made on first use with the run's seed, of the capacity that it has now."""
        options = self.options
        if self._memory is None:
            self._memory = Memory(options.capacity, options.policy, learner.seed, per_class=options.per_class)
        self._memory.resize(options.capacity)
        return self._memory

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        if targets == "classes" or options.policy != "class-balanced":
            return None
        return "shares its memory among classes (policy: class-balanced), and there are none: set policy: uniform"

    @property
    def needs_boundaries(self) -> bool:
        return False

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Let the experience's samples compete for the memory."""
        self.remember(learner, experience)

    def observe(self, learner: Learner, samples: Samples, positions: Tensor) -> None:
        """In an online stream, let the samples of this step compete for the memory."""
        if learner.online and not self.needs_boundaries:
            memory = self.memory(learner)
            chosen = positions[memory.promising(samples.ids[positions], samples.targets[positions])]
            if len(chosen):
                inputs, targets = samples.take(chosen)
                self._add(learner, {"ids": samples.ids[chosen], "targets": targets, "inputs": inputs})

    def remember(self, learner: Learner, experience: Experience) -> None:
        """Let all of the experience's samples compete for the memory; a second time changes nothing."""
        found = newcomers(self.memory(learner), learner.samples, learner.group)
        if len(found["ids"]):
            self._add(learner, found)

    def _add(self, learner: Learner, found: dict[str, Tensor]) -> None:
        self.memory(learner).add(learner.experience.index, found | self.annotations(learner, found["inputs"]))

    def annotations(self, learner: Learner, inputs: Tensor) -> dict[str, Tensor]:
        """Further tensors, (n, ...), to keep with samples, from their stored inputs, (n, *shape)."""
        return {}

    def memories(self, learner: Learner) -> dict[str, Memory]:
        return {self.name: self.memory(learner)}
