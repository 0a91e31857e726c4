"""Synaptic Intelligence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.importance.quadratic_penalty import QuadraticPenalty
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction


class SIOptions(StrategyOptions):
    """Options of `si`."""

    c: Annotated[float, Influence(experience=1)] = Field(
        default=1.0,
        ge=0,
        description=(
            "Strength of the penalty: c * sum_i importance_i * (theta_i - anchor_i)^2 is added to the loss, without a "
            "factor 1/2, as in Zenke et al. 2017, equation 4."
        ),
    )
    xi: Annotated[float, LEARNED] = Field(
        default=0.1,
        gt=0,
        description="Damping of the importance where a parameter has hardly moved (Zenke et al. 2017, equation 5).",
    )


class SI(Strategy):
    """SI: Zenke, Poole & Ganguli 2017, Continual learning through synaptic intelligence, equations 3 to 5.

    While an experience is learned, each parameter adds up its contribution to the loss: path_i -= g_i * change_i. Here
    g is the gradient of the loss of the global batch when this strategy's hook is called (without its own penalty, and
    before clipping), and change_i is the change by the optimiser's step. At the end the importance grows by max(path_i,
    0) / (total change_i^2 + xi). The anchor is the parameters at the start of the experience.

    A path below zero comes from the noise of the steps, and would push the parameter away from its anchor without
    bound. It counts as zero here.
    """

    name = "si"
    family = "regularisation"
    summary = "Hold parameters by their contribution to lowering the loss (no data kept)"
    paper = "Zenke, Poole & Ganguli 2017, Continual learning through synaptic intelligence"
    guide = Guide(
        time="two element-wise operations per parameter a step",
        memory="a fixed number of tensors per parameter, however many experiences",
        use_when="as ewc, and no extra pass over the data is wanted",
    )
    needs_rehearsal_on_shared_head = True
    needs_fixed_structure = True
    learns_from_blocks = True
    Options = SIOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {
        "importance": Reduction.GLOBAL,
        "anchor": Reduction.GLOBAL,
        "path": Reduction.GLOBAL,
    }

    options: SIOptions

    def __init__(self, options: SIOptions | None = None) -> None:
        super().__init__(options)
        self.penalty = QuadraticPenalty()
        self.path: dict[str, Tensor] = {}
        self._gradients: list[Tensor] = []
        self._held: list[tuple[str, nn.Parameter]] = []
        # Buffers are reused: a step that allocates memory of the model's size takes twice the time.
        self._drift: list[Tensor] = []  # from the anchor
        self._spare: list[Tensor] = []
        self._total: list[Tensor] = []  # gradients with the penalty's

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        held = {name: p.detach() for name, p in learner.model.named_parameters() if p.requires_grad}
        self.path = {name: torch.zeros_like(p) for name, p in held.items()}
        self.penalty.anchor = {name: p.clone() for name, p in held.items()}
        if self.penalty.importance:
            self.penalty.importance = {n: self.penalty.importance.get(n, torch.zeros_like(p)) for n, p in held.items()}
        self._drift = []

    @torch.no_grad()
    def after_backward(self, learner: Learner) -> None:
        """Keep the gradients for the path, and give the optimiser gradients with the penalty added."""
        alone = len(learner.strategies) == 1
        if not self._drift:
            self._held = [(n, p) for n, p in learner.model.named_parameters() if n in self.path]
            self._drift, self._spare, self._total = ([torch.empty_like(p) for _, p in self._held] for _ in range(3))
            self._measure(self._drift)
        elif not alone:  # other strategies may have changed the parameters since
            self._measure(self._drift)
        held = self._held
        self._gradients = [torch.zeros_like(p) if p.grad is None else p.grad for _, p in held]
        if self.penalty.importance and self.options.c:
            for (name, p), g, drift, total in zip(held, self._gradients, self._drift, self._total, strict=True):
                torch.addcmul(g, drift, self.penalty.importance[name], value=2 * self.options.c, out=total)
                p.grad = total
        elif not alone or learner.settings.clip is not None or not learner.keeps_gradients:  # which changes gradients
            torch._foreach_copy_(self._total, self._gradients)
            for (_, p), total in zip(held, self._total, strict=True):
                p.grad = None if p.grad is None else total

    @torch.no_grad()
    def after_step(self, learner: Learner) -> None:
        # Parameter by parameter: what one line writes is still in the cache for the next.
        for (name, p), gradient, drift, spare in zip(
            self._held, self._gradients, self._drift, self._spare, strict=True
        ):
            torch.sub(p, self.penalty.anchor[name], out=spare)
            self.path[name].addcmul_(gradient, drift.sub_(spare))
        self._drift, self._spare, self._gradients = self._spare, self._drift, []

    def _measure(self, drift: list[Tensor]) -> None:
        """Write the distance from the anchor into `drift`."""
        for (name, p), distance in zip(self._held, drift, strict=True):
            torch.sub(p, self.penalty.anchor[name], out=distance)

    @torch.no_grad()
    def after_experience(self, learner: Learner, experience: Experience) -> None:
        held = dict(learner.model.named_parameters())
        moved = {name: held[name] - self.penalty.anchor[name] for name in self.path}
        importance = {n: w.clamp(min=0) / (moved[n].square() + self.options.xi) for n, w in self.path.items()}
        self.penalty.replace(learner.model, importance, gamma=1.0)
        self.path, self._held, self._drift, self._spare, self._total = {}, [], [], [], []

    def state_dict(self) -> dict[str, Tensor]:
        return self.penalty.state_dict() | {f"path.{name}": tensor for name, tensor in self.path.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.penalty.load_state_dict(state)
        self.path = {name.removeprefix("path."): t.clone() for name, t in state.items() if name.startswith("path.")}
        self._drift = []
