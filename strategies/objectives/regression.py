"""Regression: one or several numbers, by squared error or Huber's loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from strategies.api.guide import DOMAIN, TASK
from strategies.api.influence import Influence
from strategies.objectives.objective import Objective, ObjectiveOptions, Term
from strategies.objectives.target_columns import active_columns, as_columns, check_head


class RegressionOptions(ObjectiveOptions):
    """Options of `regression`."""

    loss: Annotated[Literal["squared", "huber"], Influence(added="0.2")] = Field(
        default="squared",
        description=(
            "squared: half the squared error, the likelihood of a normal distribution of variance 1. huber: half the "
            "square up to delta and linear beyond it, so that outliers pull less (Huber 1964). Added up over the "
            "columns of a sample."
        ),
    )
    delta: Annotated[float, Influence(added="0.2")] = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description=(
            "With loss: huber: from which error on the loss is linear, in standard deviations of the targets (in the "
            "targets' unit with standardize: false)."
        ),
    )
    standardize: Annotated[bool, Influence(added="0.2")] = Field(
        default=True,
        description=(
            "Learn each column of the targets with its mean taken off and divided by its standard deviation, both of "
            "the training set of experience 0 and the same from then on. Scores and the outputs of a loaded model are "
            "in the targets' unit. false: targets as they are."
        ),
    )

    @property
    def changes_loss(self) -> bool:
        return self.loss != "squared"

    @field_validator("delta")
    @classmethod
    def _only_huber(cls, delta: float, info: ValidationInfo) -> float:
        if delta != 1 and info.data.get("loss", "huber") != "huber":
            raise ValueError("is for loss: huber: leave it out, or set loss: huber")
        return delta


class Regression(Objective):
    """Numbers: the output is the mean of a normal distribution of variance 1 around each standardised target.

    Strategies see standardised outputs z = (output in the targets' unit - mean) / deviation, so that a penalty, a
    distance from a teacher or a stored output weighs every column alike, whatever its unit.

    The Fisher information of a sample is the sum of the squared gradients of its outputs, times the expectation of the
    squared derivative of the loss: 1, and with Huber's loss P(|error| <= delta) under its own density.

    In a task-incremental stream each task has outputs of its own for all columns.
    """

    name = "regression"
    summary = "One or several numbers: squared error or Huber's loss, on standardised targets"
    Options = RegressionOptions
    targets = "numbers"
    settings = (TASK, DOMAIN)
    default_score = "mae"

    options: RegressionOptions

    def __init__(self, options: RegressionOptions | None = None) -> None:
        super().__init__(options)
        self._mean: Tensor | None = None
        self._deviation: Tensor | None = None

    def begin(self, targets: Tensor, outputs: int) -> None:
        values = as_columns(targets).double().cpu()
        check_head(values, outputs)
        if self._mean is not None:
            return
        self._mean, self._deviation = torch.zeros_like(values[0]), torch.ones_like(values[0])
        if self.options.standardize:
            constant = values.amin(0) == values.amax(0)  # rounding would give such a column a tiny deviation
            self._mean = values.mean(0)
            self._deviation = torch.where(constant, 1.0, values.std(0, correction=0))

    def begin_parts(self, parts: Iterable[Tensor], outputs: int) -> None:
        """As `begin`; means and deviations of parts are put together (Chan, Golub & LeVeque 1979)."""
        count, mean, squares, low, high = 0, torch.zeros(()), torch.zeros(()), torch.zeros(()), torch.zeros(())
        for targets in parts:
            values = as_columns(targets).double().cpu()
            check_head(values, outputs)
            if self._mean is not None:
                return
            n, own = len(values), values.mean(0)
            step = own - mean if count else torch.zeros_like(own)
            squares = squares + (values - own).square().sum(0) + step.square() * (count * n / (count + n))
            mean = mean + step * (n / (count + n)) if count else own
            low = torch.minimum(low, values.amin(0)) if count else values.amin(0)
            high = torch.maximum(high, values.amax(0)) if count else values.amax(0)
            count += n
        self._mean, self._deviation = torch.zeros_like(mean), torch.ones_like(mean)
        if self.options.standardize:
            self._mean = mean
            self._deviation = torch.where(low == high, 1.0, (squares / count).sqrt())

    def state_dict(self) -> dict[str, Tensor]:
        if self._mean is None or self._deviation is None:
            return {}
        return {"mean": self._mean.cpu(), "deviation": self._deviation.cpu()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        mean, deviation = state.get("mean"), state.get("deviation")
        if mean is not None and deviation is not None:
            if mean.dim() != 1 or mean.shape != deviation.shape or not bool((deviation > 0).all()):
                raise ValueError("the targets' means and deviations do not fit together")
        elif state:
            raise ValueError("the targets' means and deviations are not complete")
        self._mean, self._deviation = mean, deviation

    def loss(self, output: Tensor, targets: Tensor, units: Tensor | None = None) -> Tensor:
        wanted = self._standardized(as_columns(targets)).to(output.dtype)
        found = active_columns(output, wanted.shape[1])
        if self.options.loss == "huber":
            return F.huber_loss(found, wanted, reduction="none", delta=self.options.delta).sum(1)
        return (found - wanted).square().sum(1) / 2

    def learned_units(self, targets: Tensor, outputs: int) -> Tensor:
        return torch.ones(outputs, dtype=torch.bool, device=targets.device)

    def fisher_targets(self, outputs: int, targets: Tensor | None, units: Tensor | None) -> list[Term]:
        if targets is None:
            return [self._expected(row, units) for row in range(outputs)]
        return [self._observed(targets, units)]

    def _expected(self, row: int, units: Tensor | None) -> Term:
        squared = self.options.loss == "squared"
        information = 1.0 if squared else huber_information(self.options.delta)

        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
            value = (outputs if units is None else outputs[:, units])[:, row]
            return value, None if squared else torch.full_like(value, information)

        return term

    def _observed(self, targets: Tensor, units: Tensor | None) -> Term:
        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, None]:
            return -self.loss(outputs if units is None else outputs[:, units], targets[rows]), None

        return term

    def distance(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """Half the squared distance: the divergence of normal distributions of variance 1, at any temperature."""
        return (student - teacher).square().sum(1) / 2

    def answers(self, output: Tensor) -> Tensor:
        mean, deviation = self._scale(output)
        return active_columns(output, len(mean)).double() * deviation + mean

    def tally(self, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The predictions and the targets, in the targets' unit."""
        wanted = as_columns(targets)
        mean, deviation = self._scale(output)
        return active_columns(output, wanted.shape[1]).double() * deviation + mean, wanted

    def in_unit(self, model: nn.Module) -> nn.Module:
        if self._mean is None or self._deviation is None:
            return model
        return InUnit(model, self._mean, self._deviation)

    def _standardized(self, targets: Tensor) -> Tensor:
        """(n, k) float64."""
        mean, deviation = self._scale(targets)
        return (targets.double() - mean) / deviation

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if self._mean is None or self._deviation is None:
            return like.new_zeros(1, dtype=torch.float64), like.new_ones(1, dtype=torch.float64)
        if self._mean.device != like.device:
            self._mean, self._deviation = self._mean.to(like.device), self._deviation.to(like.device)
        return self._mean, self._deviation


class InUnit(nn.Module):
    """A model of standardised targets whose outputs are in the targets' unit.

    Attributes:
        model: as it was trained.
        mean, deviation: (k,) float64, of the targets' columns.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: nn.Module, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", deviation.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *shape) to (n, outputs), or (outputs,) where the model gives that."""
        output: Tensor = self.model(inputs)
        tasks = output.shape[-1] // len(self.mean)
        values = output.double() * self.deviation.repeat(tasks) + self.mean.repeat(tasks)
        return values.to(output.dtype)


def huber_information(delta: float) -> float:
    """The Fisher information of the location of the density that Huber's loss is the likelihood of.

    The density is proportional to exp(-loss): normal within delta, exponential beyond (Huber 1964, Robust estimation of
    a location parameter, section 5). The expectation of its squared score is the probability of |error| <= delta.
    """
    within = math.sqrt(2 * math.pi) * math.erf(delta / math.sqrt(2))
    beyond = 2 * math.exp(-(delta**2) / 2) / delta
    return within / (within + beyond)
