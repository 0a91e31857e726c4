"""Multi-label learning: any number of several labels, by a sigmoid for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Discriminator, Field, Tag
from torch import Tensor

from strategies.api.guide import DOMAIN, TASK
from strategies.api.influence import Influence
from strategies.api.strategy_errors import StrategyError
from strategies.distillation.soft_targets import sigmoid_cross_entropy
from strategies.objectives.objective import Objective, ObjectiveOptions, Term
from strategies.objectives.target_columns import active_columns, as_columns, check_head


def _form(value: object) -> str:
    return "numbers" if isinstance(value, list) else "word"


Numbers = list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
# One of the two forms: an error is then reported for the one that was written.
Weights = Annotated[
    Annotated[Numbers, Tag("numbers")] | Annotated[Literal["balanced"], Tag("word")], Discriminator(_form)
]


class MultiLabelOptions(ObjectiveOptions):
    """Options of `multi-label`."""

    positive_weights: Annotated[Weights | None, Influence(added="0.2")] = Field(
        default=None,
        description=(
            "How much a sample that has a label counts for it, where one that has not counts 1: a number for each "
            "label (pos_weight in PyTorch), or balanced: in each experience the samples without the label divided by "
            "those with it."
        ),
    )

    @property
    def changes_loss(self) -> bool:
        return self.positive_weights is not None


class MultiLabel(Objective):
    """Each label for itself: the sum of binary cross entropies, the likelihood of independent Bernoulli variables.

    A weight counts the observation of a positive label as so many, in the loss, in the reference gradients and in the
    Fisher information. There every label is an observation of its own: the expectation over its two values is
    p (1 - p) ((1 - p) weight + p) times the squared gradient of its logit. (The empirical information without weights
    is the square of the gradient of a sample's whole likelihood, as its definition says.)

    In a task-incremental stream each task has outputs of its own for all labels.
    """

    name = "multi-label"
    summary = "Any number of several labels: a binary cross entropy for each, with weights for positives"
    Options = MultiLabelOptions
    targets = "labels"
    settings = (TASK, DOMAIN)
    default_score = "micro_f1"

    options: MultiLabelOptions

    def __init__(self, options: MultiLabelOptions | None = None) -> None:
        super().__init__(options)
        self._weights: Tensor | None = None

    def problem(self, outputs: int, *, online: bool) -> str | None:
        weights = self.options.positive_weights
        if weights == "balanced" and online:
            return (
                "objective.positive_weights: balanced counts the samples of an experience, and an online stream does "
                "not say where one ends: give a number for each label"
            )
        if weights is None or weights == "balanced" or outputs % len(weights) == 0:
            return None
        return f"objective.positive_weights: has {len(weights)} numbers, and the model {outputs} outputs: one a label"

    def begin(self, targets: Tensor, outputs: int) -> None:
        self.begin_parts([targets], outputs)

    def begin_parts(self, parts: Iterable[Tensor], outputs: int) -> None:
        count, positive, weights, columns = 0, torch.zeros(()), self.options.positive_weights, 0
        for targets in parts:
            labels = as_columns(targets).cpu()
            check_head(labels, outputs)
            count, positive, columns = count + len(labels), positive + labels.sum(0).double(), labels.shape[1]
            if weights != "balanced":
                break
        if weights is None:
            return
        if weights == "balanced":
            self._weights = torch.where(positive > 0, (count - positive) / positive, 1.0).float()
            # A label that all samples have would not count at all.
            self._weights[positive == count] = 1.0
        elif len(weights) != columns:
            raise StrategyError(
                f"objective.positive_weights: has {len(weights)} numbers for {columns} labels: give one for each"
            )
        else:
            self._weights = torch.tensor(weights)

    def loss(self, output: Tensor, targets: Tensor, units: Tensor | None = None) -> Tensor:
        labels = as_columns(targets)
        logits = active_columns(output, labels.shape[1])
        weights = self._weights_like(logits)
        return F.binary_cross_entropy_with_logits(
            logits, labels.to(logits.dtype), reduction="none", pos_weight=weights
        ).sum(1)

    def learned_units(self, targets: Tensor, outputs: int) -> Tensor:
        return torch.ones(outputs, dtype=torch.bool, device=targets.device)

    def fisher_targets(self, outputs: int, targets: Tensor | None, units: Tensor | None) -> list[Term]:
        if targets is None:
            return [self._label(row, None, units) for row in range(outputs)]
        labels = as_columns(targets)
        if self._weights is None:
            return [self._observed(labels, units)]
        return [self._label(row, labels[:, row], units) for row in range(labels.shape[1])]

    def _label(self, row: int, label: Tensor | None, units: Tensor | None) -> Term:
        """The information of one label: of the values it has, (n,), or with None the expectation over both."""

        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            logit = (outputs if units is None else outputs[:, units])[:, row]
            p = logit.detach().sigmoid()
            weights = self._weights_like(logit)
            weight = 1.0 if weights is None else weights[row % len(weights)]
            if label is None:
                return logit, p * (1 - p) * ((1 - p) * weight + p)
            has = label[rows].to(p.dtype)
            return logit, (has - p).square() * (has * weight + 1 - has)

        return term

    def _observed(self, labels: Tensor, units: Tensor | None) -> Term:
        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, None]:
            return -self.loss(outputs if units is None else outputs[:, units], labels[rows]), None

        return term

    def distance(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """T^2 times the binary cross entropies between the softened sigmoids, added up over the labels."""
        return sigmoid_cross_entropy(student / temperature, (teacher / temperature).sigmoid()) * temperature**2

    def answers(self, output: Tensor) -> Tensor:
        columns = output.shape[1] if not len(output) else int((output[0] != -torch.inf).sum())
        return (active_columns(output, columns) > 0).to(torch.uint8)

    def tally(self, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The probability of each label, and whether the sample has it."""
        labels = as_columns(targets)
        return active_columns(output, labels.shape[1]).double().sigmoid(), labels

    def right(self, values: Tensor, truth: Tensor) -> Tensor:
        """Samples all of whose labels are right at a threshold of 0.5."""
        return ((values > 0.5) == (truth > 0.5)).all(1)

    def _weights_like(self, logits: Tensor) -> Tensor | None:
        if self._weights is None:
            return None
        if self._weights.device != logits.device:
            self._weights = self._weights.to(logits.device)
        return self._weights.to(logits.dtype)
