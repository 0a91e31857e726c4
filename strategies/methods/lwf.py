"""Learning without Forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from strategies.api.data import Batch, Experience
from strategies.api.guide import Guide
from strategies.api.influence import Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.distillation.teacher import Teacher
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction


class LwFOptions(StrategyOptions):
    """Options of `lwf`."""

    alpha: Annotated[float, Influence(experience=1)] = Field(
        default=1.0, ge=0, description="Weight of the distillation loss."
    )
    temperature: Annotated[float, Influence(experience=1)] = Field(
        default=2.0,
        gt=0,
        description="Temperature T of the softened outputs; the distillation loss has the factor T^2.",
    )
    weighting: Annotated[Literal["experiences", "constant"], Influence(experience=1)] = Field(
        default="experiences",
        description=(
            "experiences: the distillation loss is multiplied by the number of past experiences. With a head for each "
            "task that is the sum over the old tasks of Li & Hoiem; on one head it is the ratio of 1/k to 1 - 1/k of "
            "van de Ven et al. 2022. constant: its weight is alpha after any number of experiences."
        ),
    )


class LwF(Strategy):
    """LwF: Li & Hoiem 2016, Learning without forgetting, equation 3.

    The model before the experience is the teacher. On the samples of the batch, and on the units that have been learned
    before, the model's output should stay that of the teacher: the mean over the samples of T^2 * cross
    entropy(softmax(teacher / T), softmax(output / T)) is added to the loss. In a task-incremental stream each old
    task's units have a softmax of their own, and the mean over the old tasks counts; otherwise one softmax goes over
    the units that occurred as targets: the old classes, or in a domain-incremental stream all of them.
    """

    name = "lwf"
    family = "regularisation"
    summary = "Distil the previous model's outputs on the new data (no data kept)"
    paper = "Li & Hoiem 2016, Learning without forgetting"
    guide = Guide(
        time="a forward pass of the previous model each step",
        memory="the previous model",
        use_when="no data may be kept, and new data resemble the old ones or test samples come with their task",
    )
    needs_rehearsal_on_shared_head = True
    learns_from_blocks = True
    needs_fixed_structure = True
    Options = LwFOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {
        "teacher": Reduction.GLOBAL,
        "units": Reduction.GLOBAL,
        "learned": Reduction.GLOBAL,
    }

    options: LwFOptions

    def __init__(self, options: LwFOptions | None = None) -> None:
        super().__init__(options)
        self.teacher = Teacher()
        self.units: Tensor | None = None  # (heads, outputs) bool: units that share a softmax
        self.learned = 0

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        if not self.teacher or self.units is None or self.options.alpha == 0:
            return None
        teacher = self.teacher(learner, batch.inputs).to(output.dtype)
        heads = [head.nonzero().squeeze(1) for head in self.units]
        distance, temperature = learner.objective.distance, self.options.temperature
        losses = [distance(output[:, u], teacher[:, u], temperature) for u in heads]
        loss = torch.stack(losses).mean(0).sum() / batch.total_samples
        return loss * self.options.alpha * (self.learned if self.options.weighting == "experiences" else 1)

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        self.teacher.take(learner.model)
        self.learned += 1
        if experience.outputs is not None:
            seen = torch.zeros(learner.outputs, dtype=torch.bool, device=learner.device)
            seen[learner.units(experience)] = True
            self.units = seen[None] if self.units is None else torch.cat([self.units, seen[None]])
        else:
            seen = learner.objective.units_of(learner.samples, learner.outputs).to(learner.device)
            self.units = seen[None] if self.units is None else self.units | seen

    def state_dict(self) -> dict[str, Tensor]:
        if self.units is None:
            return {}
        return {**self.teacher.state_dict(), "units": self.units, "learned": torch.tensor(self.learned)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.teacher.load_state_dict(state)
        self.units = state.get("units")
        self.learned = int(state.get("learned", torch.tensor(0)))
