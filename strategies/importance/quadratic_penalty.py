"""A quadratic penalty around anchors: what EWC, SI and MAS have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from strategies.loop.process_group import Reduction


class QuadraticPenalty:
    """strength / 2 * sum_i importance_i * (theta_i - anchor_i)^2; any number of anchors is merged into one.

    The sum over experiences k of F_k (theta - theta_k)^2 equals, up to a constant, F (theta - a)^2 with F = sum F_k and
    a = sum F_k theta_k / F: the precision-weighted mean of the anchors. Kept as a mean, and not as sum F_k theta_k, the
    gradient does not suffer from cancellation when the strength is large.

    Attributes:
        importance, anchor: by parameter name, in the parameters' shapes; empty before the first experience.
    """

    reductions: ClassVar[Mapping[str, Reduction]] = {"importance": Reduction.SUM, "anchor": Reduction.GLOBAL}

    def __init__(self) -> None:
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}
        # Kept from step to step: allocating as much at every step takes its time.
        self._held: list[tuple[str, nn.Parameter, Tensor]] = []
        self._model: nn.Module | None = None  # whose parameters they are

    @torch.no_grad()
    def add(self, model: nn.Module, importance: Mapping[str, Tensor]) -> None:
        """Add a quadratic around the model's current parameters."""
        self._model = None
        parameters = dict(model.named_parameters())
        for name, new in importance.items():
            theta = parameters[name].detach()
            if name not in self.importance:
                self.importance[name], self.anchor[name] = new.clone(), theta.clone()
                continue
            total = self.importance[name] + new
            pull = torch.where(total > 0, new / total, torch.zeros_like(total))
            self.importance[name] = total
            self.anchor[name] = torch.lerp(self.anchor[name], theta, pull)

    @torch.no_grad()
    def replace(self, model: nn.Module, importance: Mapping[str, Tensor], gamma: float) -> None:
        """Set one quadratic around the model's current parameters, with gamma * importance so far + the new one."""
        self._model = None
        parameters = dict(model.named_parameters())
        for name, new in importance.items():
            old = self.importance.get(name)
            self.importance[name] = new.clone() if old is None else gamma * old + new
            self.anchor[name] = parameters[name].detach().clone()

    @torch.no_grad()
    def add_gradient_(self, model: nn.Module, strength: float) -> None:
        """Add strength * importance * (theta - anchor) to the gradients, in place."""
        if not self.importance or strength == 0:
            return
        for name, p, drift in self._held_by(model):
            if not p.requires_grad:
                continue
            torch.sub(p, self.anchor[name], out=drift)
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            p.grad.addcmul_(drift, self.importance[name], value=strength)

    def _held_by(self, model: nn.Module) -> list[tuple[str, nn.Parameter, Tensor]]:
        """The parameters that the penalty holds, and memory of their size: looked up once, not at every step."""
        if self._model is not model:
            held = [(n, p) for n, p in model.named_parameters() if n in self.importance]
            self._model, self._held = model, [(n, p, torch.empty_like(p)) for n, p in held]
        return self._held

    @torch.no_grad()
    def value(self, model: nn.Module, strength: float) -> float:
        """The penalty, up to the constant that merging the anchors leaves out."""
        parameters = dict(model.named_parameters())
        terms = [(f * (parameters[n] - self.anchor[n]).square()).sum() for n, f in self.importance.items()]
        return strength / 2 * float(sum(terms, torch.zeros(())))

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors by `importance.<parameter>` and `anchor.<parameter>`."""
        return {f"importance.{n}": t for n, t in self.importance.items()} | {
            f"anchor.{n}": t for n, t in self.anchor.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` returned."""
        self._model = None
        self.importance = {n.removeprefix("importance."): t for n, t in state.items() if n.startswith("importance.")}
        self.anchor = {n.removeprefix("anchor."): t for n, t in state.items() if n.startswith("anchor.")}
