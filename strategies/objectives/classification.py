"""Classification: one of several classes, by a softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator
from torch import Tensor

from strategies.api.data import Samples, target_counts
from strategies.api.influence import Influence
from strategies.distillation.soft_targets import softened_cross_entropy
from strategies.objectives.objective import Objective, ObjectiveOptions, Term


def _form(value: object) -> str:
    return "numbers" if isinstance(value, list) else "word"


Numbers = list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
# One of the two forms: an error is then reported for the one that was written.
Weights = Annotated[
    Annotated[Numbers, Tag("numbers")] | Annotated[Literal["balanced"], Tag("word")], Discriminator(_form)
]


class ClassificationOptions(ObjectiveOptions):
    """Options of `classification`."""

    class_weights: Annotated[Weights | None, Influence(added="0.2")] = Field(
        default=None,
        description=(
            "How much a sample of each class counts: a number for each output of the model, or balanced: in each "
            "experience n / (k * n_c) for a class with n_c of the n samples that are trained on, of k classes; their "
            "mean over the samples is 1. The loss is the mean of weight * loss; it is not divided by the weights."
        ),
    )
    label_smoothing: Annotated[float, Influence(added="0.2")] = Field(
        default=0.0,
        ge=0,
        lt=1,
        description=(
            "Share of the target that is spread evenly over the active classes (Szegedy et al. 2016, section 7)."
        ),
    )
    focal: Annotated[float, Influence(added="0.2")] = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description=(
            "Gamma of the focal loss (1 - p)^gamma * -log p, with p the probability of the target: samples that are "
            "classified well count less (Lin et al. 2017, equation 4). 0: the cross entropy."
        ),
    )

    @property
    def changes_loss(self) -> bool:
        return self.class_weights is not None or bool(self.label_smoothing or self.focal)

    @field_validator("class_weights")
    @classmethod
    def _some_weight(cls, weights: list[float] | str | None) -> list[float] | str | None:
        if isinstance(weights, list) and not any(weights):
            raise ValueError("must have a number above 0")
        return weights

    @field_validator("focal")
    @classmethod
    def _one_of_them(cls, focal: float, info: ValidationInfo) -> float:
        if focal and info.data.get("label_smoothing"):
            raise ValueError("cannot be with label_smoothing: leave one of them out")
        return focal


class Classification(Objective):
    """One of several classes: the cross entropy of a softmax over the active units.

    A class weight counts a sample as so many samples, in the loss, in the reference gradients and in the Fisher
    information (there for the label that the expectation is over). Label smoothing and focal loss change the loss
    alone: the Fisher information is that of the softmax.
    """

    name = "classification"
    summary = "One of several classes: cross entropy, with class weights, label smoothing or focal loss"
    Options = ClassificationOptions

    options: ClassificationOptions

    def __init__(self, options: ClassificationOptions | None = None) -> None:
        super().__init__(options)
        self._plain = not self.options.changes_loss
        self._weights: Tensor | None = None

    def problem(self, outputs: int, *, online: bool) -> str | None:
        weights = self.options.class_weights
        if weights == "balanced":
            if not online:
                return None
            return (
                "objective.class_weights: balanced counts the samples of an experience, and an online stream does not "
                "say where one ends: give a number for each output"
            )
        if weights is None or len(weights) == outputs:
            return None
        return (
            f"objective.class_weights: has {len(weights)} numbers, and the model {outputs} outputs: give one for each"
        )

    def begin(self, targets: Tensor, outputs: int) -> None:
        self._begin(lambda: torch.bincount(targets.cpu(), minlength=outputs))

    def begin_samples(self, samples: Samples, outputs: int) -> None:
        if type(self).begin is not Classification.begin:  # a subclass needs the targets themselves
            super().begin_samples(samples, outputs)
            return
        self._begin(lambda: target_counts(samples, outputs))

    def _begin(self, count: Callable[[], Tensor]) -> None:
        """
        Args:
            count: gives the samples of each target, (outputs,) int64.
        """
        weights = self.options.class_weights
        if weights is None:
            return
        if weights == "balanced":
            counts = count()
            present = counts > 0
            each = counts.sum() / (present.sum() * counts.clamp(min=1)).double()
            # Classes that only replayed samples have count as they are.
            self._weights = torch.where(present, each, 1.0).float()
        else:
            self._weights = torch.tensor(weights)

    def weights(self, targets: Tensor, units: Tensor | None = None) -> Tensor | None:
        """The class weight of each sample, (n,) float, or None when every sample counts 1; arguments as in `loss`."""
        if self._weights is None:
            return None
        if self._weights.device != targets.device:
            self._weights = self._weights.to(targets.device)
        return (self._weights if units is None else self._weights[units])[targets]

    def loss(self, output: Tensor, targets: Tensor, units: Tensor | None = None) -> Tensor:
        if self._plain:
            return F.cross_entropy(output, targets, reduction="none")
        return self.loss_from_log_p(F.log_softmax(output, 1), targets, units)

    def total(self, output: Tensor, targets: Tensor) -> Tensor:
        if self._plain:
            return F.cross_entropy(output, targets, reduction="sum")
        return self.loss(output, targets).sum()

    def mean(self, output: Tensor, targets: Tensor) -> Tensor:
        if self._plain:
            return F.cross_entropy(output, targets)  # to the bit the quotient of `total`, in fewer passes
        return super().mean(output, targets)

    def loss_from_log_p(self, log_p: Tensor, targets: Tensor, units: Tensor | None = None) -> Tensor:
        """`loss`, from the logarithms of the probabilities, (n, outputs)."""
        log_target = log_p.gather(1, targets[:, None])[:, 0]
        loss = -log_target
        smoothing, gamma = self.options.label_smoothing, self.options.focal
        if smoothing:
            active = log_p > -math.inf
            spread = -log_p.masked_fill(~active, 0.0).sum(1) / active.sum(1)
            loss = (1 - smoothing) * loss + smoothing * spread
        if gamma:
            # log1p(-p) is finite below p = 1, where the power's gradient would not be for gamma < 1.
            miss = -torch.expm1(log_target.clamp(max=-torch.finfo(log_p.dtype).eps))
            loss = miss**gamma * loss
        weights = self.weights(targets, units)
        return loss if weights is None else loss * weights.to(loss.dtype)

    def learned_units(self, targets: Tensor, outputs: int) -> Tensor:
        seen = torch.zeros(outputs, dtype=torch.bool, device=targets.device)
        seen[targets.unique()] = True
        return seen

    def fisher_targets(self, outputs: int, targets: Tensor | None, units: Tensor | None) -> list[Term]:
        if targets is None:
            if self._weights is None:
                # A single output is certain whatever its logit: the gradient of its one term is zero.
                return [self._factor(row, units) for row in range(max(1, outputs - 1))]
            return [self._expected(label, units) for label in range(outputs)]
        return [self._observed(targets, units)]

    def _factor(self, row: int, units: Tensor | None) -> Term:
        """One of the terms whose squared gradients add up to the expectation over all labels.

        In the logits z that expectation is diag(p) - p p^T, of rank k - 1 for k labels, and its Cholesky factor has a
        closed form (Tanabe & Sagae 1992, An exact Cholesky decomposition and the generalized inverse of the
        variance-covariance matrix of the multinomial distribution): the terms c_r . z, r < k - 1, with

            c_r[r] = sqrt(p_r s_{r+1} / s_r),  c_r[j] = -c_r[r] p_j / s_{r+1} for j > r,  s_r = sum of p_j over j >= r,

        take a backward pass less than the labels do.
        """

        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, None]:
            logits = (outputs if units is None else outputs[:, units]).float()
            fixed = logits.detach().clamp(min=-1e30)  # a unit at -inf has no probability
            tail, whole = fixed[:, row:].logsumexp(1), fixed.logsumexp(1)
            first = (fixed[:, row] - tail).exp()  # p_r / s_r
            rest = (fixed[:, row + 1 :] - tail[:, None]).exp().sum(1)  # s_{r+1} / s_r
            root = (first * rest * (tail - whole).exp()).sqrt()[:, None]
            return (logits[:, row:] * torch.cat([root, -root * fixed[:, row + 1 :].softmax(1)], 1)).sum(1), None

        return term

    def _expected(self, label: int, units: Tensor | None) -> Term:
        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            assert self._weights is not None
            log_p = _log_softmax(outputs, units)[:, label]
            probability = log_p.detach().exp()
            return log_p, probability * self._weights[label if units is None else units[label]].to(probability)

        return term

    def _observed(self, targets: Tensor, units: Tensor | None) -> Term:
        places = targets if units is None else torch.searchsorted(units, targets)

        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
            log_p = _log_softmax(outputs, units).gather(1, places[rows][:, None])[:, 0]
            weights = self.weights(targets[rows])
            return log_p, None if weights is None else weights.to(log_p.dtype)

        return term

    def answers(self, output: Tensor) -> Tensor:
        return output.argmax(1)

    def distance(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        return softened_cross_entropy(student, teacher, temperature)

    def tally(self, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The probabilities of the classes, and the targets."""
        return output.double().softmax(1), targets


def _log_softmax(outputs: Tensor, units: Tensor | None) -> Tensor:
    return F.log_softmax((outputs if units is None else outputs[:, units]).float(), dim=1)
