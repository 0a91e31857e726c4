"""Definitions written out as loops, a sample at a time: slow, plain, and what the fast code must agree with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Named = dict[str, Tensor]


def fisher(model: nn.Module, inputs: Tensor, *, targets: Tensor | None = None, units: Tensor | None = None) -> Named:
    """sum over samples x and labels y of p(y | x) (d log p(y | x) / d parameter)^2, one gradient after the other."""
    model.eval()
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for number, x in enumerate(inputs):
        outputs = model(x[None])[0]
        log_p = F.log_softmax(outputs if units is None else outputs[units], dim=0)
        place = {int(unit): i for i, unit in enumerate(range(len(outputs)) if units is None else units)}
        labels = range(len(log_p)) if targets is None else [place[int(targets[number])]]
        for label in labels:
            weight = float(log_p[label].detach().exp()) if targets is None else 1.0
            for name, gradient in _gradients(log_p[label], parameters).items():
                total[name] += weight * gradient**2
    return {name: value.detach() for name, value in total.items()}


def sensitivity(model: nn.Module, inputs: Tensor, units: Tensor | None = None) -> Named:
    """sum over samples of |d ||f(x)||^2 / d parameter|."""
    model.eval()
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for x in inputs:
        outputs = model(x[None])[0]
        norm = (outputs if units is None else outputs[units]).square().sum()
        for name, gradient in _gradients(norm, parameters).items():
            total[name] += gradient.abs()
    return {name: value.detach() for name, value in total.items()}


def _gradients(value: Tensor, parameters: Mapping[str, Tensor]) -> Named:
    found = torch.autograd.grad(value, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {name: g for name, g in zip(parameters, found, strict=True) if g is not None}


def penalty_gradient(
    parameters: Mapping[str, Tensor], anchors: Sequence[tuple[float, Named, Named]]
) -> tuple[float, Named]:
    """sum over anchors of factor * sum_i importance_i * (theta_i - anchor_i)^2, and its gradient by autograd.

    Args:
        anchors: factor, importances and anchor of each.
    """
    theta = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
    value = torch.zeros(())
    for factor, importance, anchor in anchors:
        for name, weight in importance.items():
            value = value + factor * (weight * (theta[name] - anchor[name]) ** 2).sum()
    return float(value.detach()), _gradients(value, theta)
