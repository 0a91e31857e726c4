"""Sums of squared per-sample gradients, in closed form and by torch.func, against one backward pass for each sample."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.importance.per_sample_gradients import _closed_form_layers, per_sample_moment
from strategies.objectives.objective import Term
from tests.strategies.models import MODELS, build

TARGETS = torch.arange(9) % 5


def losses(output: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    return F.cross_entropy(output, TARGETS[rows], reduction="none"), torch.ones(len(output))


def weighted(output: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    return output.square().sum(1), rows.double() + 0.5


def one_by_one(model: nn.Module, inputs: Tensor, objectives: list[Term], absolute: bool = False) -> dict[str, Tensor]:
    model.eval()
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for n in range(len(inputs)):
        for objective in objectives:
            value, weight = objective(model(inputs[n : n + 1]), torch.tensor([n]))
            found = torch.autograd.grad(value[0], list(parameters.values()), allow_unused=True)
            for name, g in zip(parameters, found, strict=True):
                if g is not None:
                    total[name] += float(weight[0]) * (g.abs() if absolute else g.square())
    return total


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("model", [name for name in MODELS if name not in ("mlp-float32", "language")])
def test_it_is_what_single_samples_add_up_to(model: str, absolute: bool) -> None:
    made, inputs = build(model, 5), torch.rand(9, 1, 6, 6, dtype=torch.float64)
    objectives: list[Term] = [losses, weighted]
    expected = one_by_one(made, inputs, objectives, absolute)
    for chunk in (4, 500):
        found = per_sample_moment(made, inputs, objectives, absolute=absolute, chunk=chunk)
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            torch.testing.assert_close(tensor, expected[name], msg=lambda text, name=name: f"{name}: {text}")


def test_the_closed_form_is_taken_where_there_is_one() -> None:
    def closed(model: nn.Module) -> bool:
        return (
            _closed_form_layers(model, {n: p for n, p in model.named_parameters() if p.requires_grad}, {}) is not None
        )

    assert closed(build("conv", 5)) and closed(build("batch-norm", 5))
    assert closed(build("language", 5))  # an embedding, a layer normalisation
    assert not closed(nn.GroupNorm(1, 2)) and not closed(nn.MultiheadAttention(4, 2))
    assert not closed(nn.Conv2d(2, 2, 3, groups=2)) and not closed(nn.Conv2d(1, 1, 3, padding="same"))


def test_the_mode_of_the_model_stays_and_no_samples_give_zeros() -> None:
    made = build("mlp", 5).train()
    found = per_sample_moment(made, torch.empty(0, 1, 6, 6, dtype=torch.float64), [losses])
    assert made.training and all(not tensor.any() for tensor in found.values())
    per_sample_moment(made.eval(), torch.rand(2, 1, 6, 6, dtype=torch.float64), [losses])
    assert not made.training
