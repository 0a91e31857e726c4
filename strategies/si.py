"""Synaptic Intelligence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

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
    max(path_i, 0) / (total change_i^2 + xi), and the anchor moves to the parameters as they are.

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
        "start": Reduction.GLOBAL,
    }

    options: SIOptions

    def __init__(self, options: SIOptions | None = None) -> None:
        super().__init__(options)
        self.penalty = QuadraticPenalty()
        self.path: dict[str, Tensor] = {}
        self.start: dict[str, Tensor] = {}
        self._step: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]] = ([], [], [], [])

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
        self.start = {name: p.clone() for name, p in held.items()}

    @torch.no_grad()
    def after_backward(self, learner: Learner) -> None:
        """Keep gradients and parameters as they are before the step, then add the penalty's gradient."""
        held = [(self.path[n], p, p.grad) for n, p in learner.model.named_parameters() if n in self.path]
        paths = [path for path, _, gradient in held if gradient is not None]
        parameters: list[Tensor] = [p for _, p, gradient in held if gradient is not None]
        gradients = [gradient.clone() for _, _, gradient in held if gradient is not None]
        self._step = (paths, parameters, gradients, [p.clone() for p in parameters])
        self.penalty.add_gradient_(learner.model, 2 * self.options.c)

    @torch.no_grad()
    def after_step(self, learner: Learner) -> None:
        paths, parameters, gradients, before = self._step
        if paths:
            torch._foreach_sub_(before, parameters)
            torch._foreach_addcmul_(paths, gradients, before)

    @torch.no_grad()
    def after_experience(self, learner: Learner, experience: Experience) -> None:
        parameters = dict(learner.model.named_parameters())
        importance = {
            name: path.clamp(min=0) / ((parameters[name] - self.start[name]).square() + self.options.xi)
            for name, path in self.path.items()
        }
        self.penalty.replace(learner.model, importance, gamma=1.0)
        self.path, self.start, self._step = {}, {}, ([], [], [], [])

    def state_dict(self) -> dict[str, Tensor]:
        running = {"path": self.path, "start": self.start}
        return self.penalty.state_dict() | {
            f"{part}.{name}": tensor for part, tensors in running.items() for name, tensor in tensors.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.penalty.load_state_dict(state)
        self.path, self.start = (
            {name.removeprefix(part): t.clone() for name, t in state.items() if name.startswith(part)}
            for part in ("path.", "start.")
        )
