"""Synaptic Intelligence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.contract import Experience
from strategies.group import Reduction
from strategies.learner import Learner
from strategies.quadratic import QuadraticPenalty
from strategies.strategy import Strategy, StrategyOptions


class SIOptions(StrategyOptions):
    """Options of `si`.

    Attributes:
        c: strength of the penalty: the loss gains c * sum_i importance_i * (theta_i - anchor_i)^2, without a 1/2, as in
            Zenke et al. 2017, equation 4.
        xi: damping of the importance where a parameter has hardly moved (equation 5).
    """

    c: float = Field(default=1.0, ge=0, json_schema_extra={"since": 1})
    xi: float = Field(default=0.1, gt=0)


class SI(Strategy):
    """SI: Zenke, Poole & Ganguli 2017, Continual learning through synaptic intelligence, equations 3 to 5.

    While an experience is learned, each parameter adds up what it did for the loss: path_i -= g_i * change_i, with the
    gradient g of the loss of the global batch as it is when this strategy's turn comes (without its own penalty, and
    before clipping), and the change that the optimiser's step made. At the end the importance grows by
    max(path_i, 0) / (total change_i^2 + xi). The anchor is where the experience started.

    A path below zero comes from the noise of the steps; it would push the parameter away from its anchor without bound,
    so that it counts as zero here.
    """

    name = "si"
    family = "regularisation"
    summary = "Hold parameters by what they did for the loss along the way (no data kept)"
    paper = "Zenke, Poole & Ganguli 2017, Continual learning through synaptic intelligence"
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
        self._drift: list[Tensor] = []  # from the anchor

    @classmethod
    def problems(cls, options: Any, *, setting: str, others: Sequence[str]) -> list[str]:
        if setting == "class-incremental" and not {"replay", "cumulative"} & set(others):
            return [
                "si alone forgets on one head that all classes share (class-incremental): add {name: replay}, "
                "or use setting: task-incremental"
            ]
        return []

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        held = {name: p.detach() for name, p in learner.model.named_parameters() if p.requires_grad}
        self.path = {name: torch.zeros_like(p) for name, p in held.items()}
        self.penalty.anchor = {name: p.clone() for name, p in held.items()}
        if self.penalty.importance:
            self.penalty.importance = {n: self.penalty.importance.get(n, torch.zeros_like(p)) for n, p in held.items()}
        self._drift = []

    @torch.no_grad()
    def after_backward(self, learner: Learner) -> None:
        """Keep the gradients for the path, and give the optimiser others, with the penalty's added."""
        held = self._held(learner)
        if not self._drift or len(learner.strategies) > 1:  # the others may have changed the parameters
            self._drift = self._distance(held)
        self._gradients = [torch.zeros_like(p) if p.grad is None else p.grad for _, p in held]
        if self.penalty.importance and self.options.c:
            importance = [self.penalty.importance[n] for n, _ in held]
            total = torch._foreach_addcmul(self._gradients, self._drift, importance, value=2 * self.options.c)
            for (_, p), gradient in zip(held, total, strict=True):
                p.grad = gradient
        else:
            for _, p in held:
                p.grad = None if p.grad is None else p.grad.clone()

    @torch.no_grad()
    def after_step(self, learner: Learner) -> None:
        held = self._held(learner)
        drift = self._distance(held)
        torch._foreach_sub_(self._drift, drift)
        torch._foreach_addcmul_([self.path[n] for n, _ in held], self._gradients, self._drift)
        self._drift, self._gradients = drift, []

    def _held(self, learner: Learner) -> list[tuple[str, nn.Parameter]]:
        return [(n, p) for n, p in learner.model.named_parameters() if n in self.path]

    def _distance(self, held: list[tuple[str, nn.Parameter]]) -> list[Tensor]:
        parameters: list[Tensor] = [p for _, p in held]
        return list(torch._foreach_sub(parameters, [self.penalty.anchor[n] for n, _ in held]))

    @torch.no_grad()
    def after_experience(self, learner: Learner, experience: Experience) -> None:
        held = self._held(learner)
        moved = {n: distance for (n, _), distance in zip(held, self._distance(held), strict=True)}
        importance = {n: w.clamp(min=0) / (moved[n].square() + self.options.xi) for n, w in self.path.items()}
        self.penalty.replace(learner.model, importance, gamma=1.0)
        self.path, self._drift = {}, []

    def state_dict(self) -> dict[str, Tensor]:
        return self.penalty.state_dict() | {f"path.{name}": tensor for name, tensor in self.path.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.penalty.load_state_dict(state)
        self.path = {name.removeprefix("path."): t.clone() for name, t in state.items() if name.startswith("path.")}
        self._drift = []
