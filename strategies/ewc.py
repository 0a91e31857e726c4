"""Elastic Weight Consolidation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from strategies.contract import Experience
from strategies.fisher import diagonal_fisher
from strategies.importance import mean_importance
from strategies.learner import Learner
from strategies.quadratic import QuadraticPenalty
from strategies.strategy import Strategy, StrategyOptions


class EWCOptions(StrategyOptions):
    """Options of `ewc`.

    Attributes:
        lambda_: strength of the penalty, `lambda` in pipeline files: the loss gains
            lambda / 2 * sum_i F_i (theta_i - anchor_i)^2, with the 1/2 of Kirkpatrick et al. 2017, equation 3.
        samples: how many samples of the experience estimate the Fisher information; None: all of them.
        estimate: `true`: expectation over the model's own labels, exact; `empirical`: the labels of the data.
        mode: `separate-sum`: one quadratic for each experience, added up; `online`: one running sum of Fisher
            information around the latest parameters (Schwarz et al. 2018, equation 8).
        gamma: decay of the running sum in `online` mode.
    """

    lambda_: float = Field(default=1000.0, ge=0, alias="lambda", json_schema_extra={"since": 1})
    samples: int | None = Field(default=None, ge=1)
    estimate: Literal["true", "empirical"] = "true"
    mode: Literal["separate-sum", "online"] = "separate-sum"
    gamma: float = Field(default=1.0, ge=0, le=1, json_schema_extra={"since": 1})


class EWC(Strategy):
    """EWC: Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks, equation 3.

    A sum of quadratics is a quadratic: two tensors for each parameter hold the anchors of all experiences, and a step
    costs the same after 2 and after 200 of them. The Fisher information is a mean over samples of squared per-sample
    gradients (`strategies.fisher`), summed over the ranks.
    """

    name = "ewc"
    family = "regularisation"
    summary = "Hold parameters by their Fisher information (separate-sum or online)"
    paper = "Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks; Schwarz et al. 2018"
    Options = EWCOptions
    reductions = QuadraticPenalty.reductions

    options: EWCOptions

    def __init__(self, options: EWCOptions | None = None) -> None:
        super().__init__(options)
        self.penalty = QuadraticPenalty()

    @classmethod
    def problems(cls, options: Any, *, setting: str, others: Sequence[str]) -> list[str]:
        if setting == "class-incremental" and not {"replay", "cumulative"} & set(others):
            return [
                "ewc alone forgets on one head that all classes share (class-incremental): add {name: replay}, "
                "or use setting: task-incremental"
            ]
        return []

    def after_backward(self, learner: Learner) -> None:
        self.penalty.add_gradient_(learner.model, self.options.lambda_)

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        importance = self.fisher(learner, experience)
        if self.options.mode == "online":
            self.penalty.replace(learner.model, importance, self.options.gamma)
        else:
            self.penalty.add(learner.model, importance)

    def fisher(self, learner: Learner, experience: Experience) -> dict[str, Tensor]:
        """Mean Fisher information on the experience's samples, by parameter name; the same on every rank."""
        units = None if experience.outputs is None else learner.units(experience)
        empirical = self.options.estimate == "empirical"
        return mean_importance(
            learner,
            experience,
            self.options.samples,
            "fisher",
            lambda inputs, targets: diagonal_fisher(
                learner.model, inputs, targets=targets if empirical else None, units=units
            ),
        )

    def state_dict(self) -> dict[str, Tensor]:
        return self.penalty.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.penalty.load_state_dict(state)
