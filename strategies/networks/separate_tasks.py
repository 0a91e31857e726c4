"""What PackNet and progressive networks have in common: each experience is a task with outputs of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from strategies.api.data import Batch, Experience, target_units
from strategies.api.guide import CLASS, DOMAIN, Limit
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.networks.task_network import TaskNetwork
from strategies.objectives.classification import Classification
from strategies.objectives.objective import TargetKind


class TaskOptions(StrategyOptions):
    """Options of a strategy with outputs for each task."""

    infer_task: Annotated[bool, LEARNED] = Field(
        default=False,
        description=(
            "Infer the task of each test sample instead of reading its task label: the task whose answer has the "
            "lowest entropy over its own units. In a task-incremental stream too, whose labels are then not used."
        ),
    )
    exposure: Annotated[float, Influence(experience=1)] = Field(
        default=0.2,
        ge=0,
        description=(
            "With infer_task: weight of the replayed samples of earlier experiences; samples of the current "
            "experience have weight 1."
        ),
    )


_REMEDY = "set infer_task: true, or use setting: task-incremental"
_TOLD = {"infer_task": False}


class SeparateTasks(Strategy):
    """Every experience is a task: its own units, with a softmax over them, learned separately and never changed again.

    Its units are the active ones in a task-incremental stream, and otherwise those that occur as targets (all of them
    where targets are numbers or labels, which have no softmax). The
    learner's model becomes a `TaskNetwork`, which defines how a sample of unknown task is classified.

    Another strategy may add samples of earlier experiences to the batches. With `infer_task` the new task learns
    uniform outputs for them (as in Hendrycks et al. 2019, Deep anomaly detection with outlier exposure), so that its
    entropy is high there. Without `infer_task`, they are learned if their unit belongs to the new task, as in a
    domain-incremental stream, where the newest task classifies all samples; otherwise they have weight 0.
    """

    family = "architecture"
    Options = TaskOptions
    predicts_logits: ClassVar[bool] = True
    freezes_features = True
    freezes_answers = True
    learns_from_blocks = True
    needs_task_labels = True
    objectives = ("classification", "regression", "multi-label")
    limits: ClassVar[Mapping[str, Limit]] = {
        CLASS: Limit("has outputs for each task and does not know the task", _REMEDY, _TOLD),
        DOMAIN: Limit("classifies samples of all domains as samples of the newest one", _REMEDY, _TOLD),
    }

    options: TaskOptions

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        if targets == "classes" or not options.infer_task:
            return None
        return "infers the task from probabilities of classes, and there are none: leave infer_task out"

    @property
    def needs_boundaries(self) -> bool:
        return True

    def task_units(self, learner: Learner, experience: Experience) -> list[int]:
        """The units of the experience's task, ascending.

        Raises:
            StrategyError: a single unit, which is only enough where task labels are given.
        """
        if experience.outputs is not None:
            return sorted(experience.outputs)
        if learner.objective.targets != "classes":
            return list(range(learner.outputs))
        units: list[int] = target_units(learner.samples, learner.outputs).tolist()
        if len(units) < 2:
            raise StrategyError(
                f"{self.name} learns to separate an experience's classes, and experience {experience.index} has "
                "one: give each experience two or more, or use {name: expand} with {name: replay}"
            )
        return units

    def training_loss(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """The objective's loss over the units of the newest task."""
        network = learner.model
        assert isinstance(network, TaskNetwork)
        own = network.head(-1).units
        if learner.objective.targets != "classes":
            loss = learner.objective.loss(output.index_select(1, own), batch.targets, own)
            if batch.current == len(batch) or len(own) == learner.outputs:
                return batch.mean(loss)
            return batch.mean(torch.where(batch.experiences == learner.experience.index, loss, 0.0))
        places = network.places()[batch.targets]
        logits = output.index_select(1, own)
        if batch.current == len(batch):
            return batch.mean(learner.objective.loss(logits, places, own))
        log_p = F.log_softmax(logits, 1)
        objective = learner.objective
        assert isinstance(objective, Classification)
        labelled = objective.loss_from_log_p(log_p, places.clamp(min=0), own)
        if self.options.infer_task:
            mine = batch.experiences == learner.experience.index
            return batch.mean(torch.where(mine, labelled, -log_p.mean(1) * self.options.exposure))
        return batch.mean(torch.where(places >= 0, labelled, 0.0))

    def predict(self, learner: Learner, inputs: Tensor, experience: Experience) -> Tensor | None:
        """The outputs of the experience's task where its task label may be used, else those of the network."""
        network = learner.model
        if not isinstance(network, TaskNetwork):
            return None
        if experience.outputs is not None and not self.options.infer_task:
            position = network.position(experience.index)
            if position is not None:
                return network.answer(inputs, position)
        scores: Tensor = network(inputs)
        return scores

    def task_labels(self, experience: Experience) -> Literal["given", "inferred"] | None:
        if self.options.infer_task:
            return "inferred"
        return None if experience.outputs is None else "given"
