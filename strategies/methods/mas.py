"""Memory Aware Synapses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.importance.per_sample_gradients import per_sample_moment
from strategies.importance.per_sample_mean import mean_importance
from strategies.importance.quadratic_penalty import QuadraticPenalty
from strategies.loop.learner import Learner


class MASOptions(StrategyOptions):
    """Options of `mas`."""

    lambda_: Annotated[float, Influence(experience=1)] = Field(
        default=1.0,
        ge=0,
        alias="lambda",
        description=(
            "Strength of the penalty: lambda * sum_i importance_i * (theta_i - anchor_i)^2 is added to the loss, "
            "without a factor 1/2 (Aljundi et al. 2018, equation 4)."
        ),
    )
    samples: Annotated[int | None, LEARNED] = Field(
        default=None,
        ge=1,
        description="Samples of the experience that estimate the importance. null: all of them.",
    )


class MAS(Strategy):
    """MAS: Aljundi et al. 2018, Memory aware synapses: learning what (not) to forget, equations 2 to 4.

    The importance of a parameter is the mean over samples of |d ||f(x)||^2 / d theta|: how much the squared norm of the
    model's output depends on it. No labels are needed. Importances of the experiences add up (section 4.1), and the
    anchor is the parameters at the end of the latest experience. In a task-incremental stream f(x) is the output of the
    experience's own units.
    """

    name = "mas"
    family = "regularisation"
    summary = "Hold parameters by how much the output depends on them (no labels needed)"
    paper = "Aljundi et al. 2018, Memory aware synapses: learning what (not) to forget"
    guide = Guide(
        time="one pass over samples of the experience, without labels",
        memory="a fixed number of tensors per parameter, however many experiences",
        use_when="as ewc, and labels are few or unreliable",
    )
    needs_rehearsal_on_shared_head = True
    needs_fixed_structure = True
    learns_from_blocks = True
    Options = MASOptions
    reductions = QuadraticPenalty.reductions

    options: MASOptions

    def __init__(self, options: MASOptions | None = None) -> None:
        super().__init__(options)
        self.penalty = QuadraticPenalty()

    def after_backward(self, learner: Learner) -> None:
        self.penalty.add_gradient_(learner.model, 2 * self.options.lambda_)

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        units = None if experience.outputs is None else learner.units(experience)
        importance = mean_importance(
            learner,
            experience,
            self.options.samples,
            "mas",
            lambda inputs, _: output_sensitivity(learner.model, inputs, units),
        )
        self.penalty.replace(learner.model, importance, gamma=1.0)

    def state_dict(self) -> dict[str, Tensor]:
        return self.penalty.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.penalty.load_state_dict(state)


def output_sensitivity(model: nn.Module, inputs: Tensor, units: Tensor | None = None) -> dict[str, Tensor]:
    """sum over samples of |d ||f(x)||^2 / d parameter|, in the parameters' shapes, by name.

    Args:
        inputs: (n, *shape), as the model takes them.
        units: the output units of f; None: all.
    """

    def squared_norm(outputs: Tensor, rows: Tensor) -> tuple[Tensor, None]:
        chosen = outputs if units is None else outputs[:, units]
        norms = chosen.square().flatten(1).sum(1)
        return norms, None

    return per_sample_moment(model, inputs, [squared_norm], absolute=True)
