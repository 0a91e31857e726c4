"""Elastic Weight Consolidation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from strategies.api.data import Experience, Samples
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.importance.fisher import diagonal_fisher
from strategies.importance.per_sample_mean import CHUNK, Moment, mean_importance, mean_moment
from strategies.importance.quadratic_penalty import QuadraticPenalty
from strategies.importance.recent_samples import Window
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.objectives.objective import TargetKind


class EWCOptions(StrategyOptions):
    """Options of `ewc`."""

    lambda_: Annotated[float, Influence(experience=1)] = Field(
        default=1000.0,
        ge=0,
        alias="lambda",
        description=(
            "Strength of the penalty: lambda / 2 * sum_i F_i (theta_i - anchor_i)^2 is added to the loss, with the "
            "factor 1/2 of Kirkpatrick et al. 2017, equation 3."
        ),
    )
    samples: Annotated[int | None, LEARNED] = Field(
        default=None,
        ge=1,
        description="Samples of the experience that estimate the Fisher information. null: all of them.",
    )
    estimate: Annotated[Literal["true", "empirical"], LEARNED] = Field(
        default="true",
        description=(
            "Labels of the Fisher information. true: the exact expectation over the model's own predictions. "
            "empirical: the labels of the data."
        ),
    )
    mode: Annotated[Literal["separate-sum", "online"], LEARNED] = Field(
        default="separate-sum",
        description=(
            "separate-sum: one quadratic penalty for each experience, added up. online: one running sum of Fisher "
            "information around the latest parameters (Schwarz et al. 2018, equation 8)."
        ),
    )
    gamma: Annotated[float, Influence(experience=1)] = Field(
        default=1.0, ge=0, le=1, description="With mode: online: decay of the sum."
    )
    every: Annotated[int | None, Influence(added="0.1", at_once=True)] = Field(
        default=None,
        ge=1,
        description=(
            "With mode: online: consolidate every so many steps, on `samples` of the samples that passed since, "
            "instead of at the end of each experience. The running sum then gains a term each time: with gamma 1 it "
            "grows with their number. null: at the end of each experience."
        ),
    )

    @field_validator("every")
    @classmethod
    def _only_online(cls, every: int | None, info: ValidationInfo) -> int | None:
        if every is not None and info.data.get("mode", "online") != "online":
            raise ValueError("is for mode: online, whose running sum it adds to: leave it out, or set mode: online")
        return every


class EWC(Strategy):
    """EWC: Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks, equation 3.

    A sum of quadratics is a quadratic: two tensors for each parameter hold the anchors of all experiences, and a step
    costs the same after 2 and after 200 of them. The Fisher information is a mean over samples of squared per-sample
    gradients (`strategies.importance.fisher`), summed over the ranks.

    In `online` mode the penalty is lambda / 2 times the whole running sum. Schwarz et al. (equation 8) multiply the
    penalised sum by gamma once more: to reproduce their lambda, set lambda here to their lambda times gamma.

    With `every`, nothing depends on where experiences end. After every so many steps, counted through the whole stream,
    the mean Fisher information F of the samples since then, at the current parameters, is added to the running sum:
    gamma * sum + F, around these parameters (Schwarz et al. 2018, equation 8, with a window of the stream for the
    task). With `samples`, each of these steps contributes its share: the first samples of its batch, whose order
    is random. The samples are held in stored dtype until then.
    """

    name = "ewc"
    family = "regularisation"
    summary = "Hold parameters by their Fisher information (separate-sum or online)"
    paper = "Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks; Schwarz et al. 2018"
    guide = Guide(
        time="one pass over samples of the experience for the Fisher information",
        memory="a fixed number of tensors per parameter, however many experiences",
        use_when="no data may be kept and test samples come with their task; on shared heads only with replay",
    )
    needs_rehearsal_on_shared_head = True
    needs_fixed_structure = True
    learns_from_blocks = True
    Options = EWCOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {**QuadraticPenalty.reductions, "window": Reduction.GLOBAL}

    options: EWCOptions

    def __init__(self, options: EWCOptions | None = None) -> None:
        super().__init__(options)
        self.penalty = QuadraticPenalty()
        self.window = Window()

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        if targets != "tokens" or options.estimate == "empirical":
            return None
        return "would take the expectation over all tokens at every position (estimate: true): set estimate: empirical"

    def after_backward(self, learner: Learner) -> None:
        self.penalty.add_gradient_(learner.model, self.options.lambda_)

    @property
    def needs_boundaries(self) -> bool:
        return self.options.every is None

    def observe(self, learner: Learner, samples: Samples, positions: Tensor) -> None:
        """Hold the samples of this step, and consolidate after every `every` steps."""
        every, n = self.options.every, self.options.samples
        if every is None:
            return
        step = self.window.steps
        share = len(positions)
        if n is not None:
            share = n * (step + 1) // every - n * step // every or int(step + 1 >= every)
        self.window.add(samples, positions[:share], learner.experience.index)
        if self.window.steps >= every:
            self.penalty.replace(learner.model, self._window_fisher(learner), self.options.gamma)

    def _window_fisher(self, learner: Learner) -> dict[str, Tensor]:
        """Mean Fisher information on the samples of the window, which is emptied; the same on every rank."""
        inputs, targets, experiences = self.window.take()
        parts = []
        for experience in experiences.unique():
            active = learner.active(experience[None])
            moment = self._moment(learner, None if active is None else active[0].nonzero().squeeze(1))
            rows = (experiences == experience).nonzero().squeeze(1)
            share = rows[learner.group.share(len(rows))]
            parts += [(inputs[r], targets[r], moment) for r in share.split(CHUNK) if len(r)]
        return mean_moment(learner, parts, len(targets))

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        if self.options.every is not None:
            return
        importance = self.fisher(learner, experience)
        if self.options.mode == "online":
            self.penalty.replace(learner.model, importance, self.options.gamma)
        else:
            self.penalty.add(learner.model, importance)

    def fisher(self, learner: Learner, experience: Experience) -> dict[str, Tensor]:
        """Mean Fisher information on the experience's samples, by parameter name; the same on every rank."""
        units = None if experience.outputs is None else learner.units(experience)
        return mean_importance(learner, experience, self.options.samples, "fisher", self._moment(learner, units))

    def _moment(self, learner: Learner, units: Tensor | None) -> Moment:
        empirical = self.options.estimate == "empirical"
        return lambda inputs, targets: diagonal_fisher(
            learner.model, inputs, targets=targets if empirical else None, units=units, objective=learner.objective
        )

    def state_dict(self) -> dict[str, Tensor]:
        return self.penalty.state_dict() | self.window.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.penalty.load_state_dict(state)
        self.window.load_state_dict(state)
