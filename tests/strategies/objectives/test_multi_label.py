"""Multi-label learning against its definitions, written down one sample and one label at a time."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.importance.fisher import diagonal_fisher
from strategies.loop.learner import Learner
from strategies.objectives.multi_label import MultiLabel, MultiLabelOptions
from tests.strategies.cases import make_strategy
from tests.strategies.models import build

LABELS = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1], [1, 0, 1]], dtype=torch.uint8)
OPTIONS: list[dict[str, Any]] = [{}, {"positive_weights": [3.0, 0.5, 1.0]}, {"positive_weights": "balanced"}]


def make(options: dict[str, Any], labels: Tensor = LABELS, outputs: int = 3) -> MultiLabel:
    objective = MultiLabel(MultiLabelOptions(**options))
    objective.begin(labels, outputs)
    return objective


def weight(options: dict[str, Any], column: int, has: int) -> float:
    """How much an observation counts, as the documentation says it; labels that none or all have count 1."""
    weights = options.get("positive_weights")
    if not has or weights is None:
        return 1.0
    return float(weights[column]) if weights != "balanced" else (2 / 3, 1.0, 1.0)[column]


def log_p(logit: Tensor, has: int) -> Tensor:
    return -torch.log1p(torch.exp(-logit if has else logit))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_losses_are_those_of_the_definition(options: dict[str, Any]) -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    objective = make(options)
    expected = [
        sum(-weight(options, k, y) * float(log_p(logits[n, k], y)) for k, y in enumerate(row))
        for n, row in enumerate(LABELS.tolist())
    ]
    torch.testing.assert_close(objective.loss(logits, LABELS), torch.tensor(expected).double())
    masked = torch.cat([logits, torch.full((5, 3), -math.inf, dtype=torch.float64)], 1)
    assert torch.equal(objective.loss(masked, LABELS), objective.loss(logits, LABELS))
    assert torch.equal(objective.answers(masked), (logits > 0).to(torch.uint8))
    extreme = torch.tensor([[800.0, -800.0, 0.0]] * 5, requires_grad=True)
    objective.total(extreme, LABELS).backward()
    assert extreme.grad is not None and bool(extreme.grad.isfinite().all())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("units", [None, [3, 4, 5]], ids=str)
def test_the_true_fisher_information_is_the_expectation_over_all_labels(
    options: dict[str, Any], units: list[int] | None
) -> None:
    """Without weights over all 2^3 sets of labels; with weights each observation counts by its own."""
    torch.manual_seed(1)
    model = nn.Linear(4, 6 if units else 3).double()
    inputs = torch.randn(len(LABELS), 4, dtype=torch.float64)
    expected = torch.zeros_like(model.weight)
    for x in inputs:
        logits = model(x)[units or [0, 1, 2]]
        if not options:
            for row in itertools.product((0, 1), repeat=3):
                likelihood = sum(log_p(logits[k], y) for k, y in enumerate(row))
                (gradient,) = torch.autograd.grad(likelihood, [model.weight], retain_graph=True)
                expected += likelihood.detach().exp() * gradient**2
            continue
        for k, y in itertools.product(range(3), (0, 1)):
            likelihood = log_p(logits[k], y)
            (gradient,) = torch.autograd.grad(likelihood, [model.weight], retain_graph=True)
            expected += likelihood.detach().exp() * weight(options, k, y) * gradient**2
    chosen = None if units is None else torch.tensor(units)
    found = diagonal_fisher(model, inputs, units=chosen, objective=make(options, outputs=6 if units else 3))
    torch.testing.assert_close(found["weight"], expected)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("units", [None, [3, 4, 5]], ids=str)
def test_the_empirical_fisher_information_is_that_of_the_labels(
    options: dict[str, Any], units: list[int] | None
) -> None:
    torch.manual_seed(2)
    model = nn.Linear(4, 6 if units else 3).double()
    inputs = torch.randn(len(LABELS), 4, dtype=torch.float64)
    expected = torch.zeros_like(model.weight)
    for x, row in zip(inputs, LABELS.tolist(), strict=True):
        logits = model(x)[units or [0, 1, 2]]
        likelihoods = [log_p(logits[k], y) for k, y in enumerate(row)]
        weights = [weight(options, k, y) for k, y in enumerate(row)]
        # Without weights the sample is one observation, with weights each of its labels is.
        for value, count in zip(likelihoods, weights, strict=True) if options else [(sum(likelihoods), 1.0)]:
            assert isinstance(value, Tensor)
            (gradient,) = torch.autograd.grad(value, [model.weight], retain_graph=True)
            expected += count * gradient**2
    chosen = None if units is None else torch.tensor(units)
    found = diagonal_fisher(model, inputs, targets=LABELS, units=chosen, objective=make(options, outputs=6))
    torch.testing.assert_close(found["weight"], expected)


def test_distances_are_binary_cross_entropies_whose_gradient_vanishes_at_the_teacher() -> None:
    generator = torch.Generator().manual_seed(3)
    student, teacher = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    for temperature in (1.0, 2.5):
        expected = [
            -sum(
                q * math.log(p) + (1 - q) * math.log(1 - p)
                for p, q in zip(
                    (1 / (1 + math.exp(-z / temperature)) for z in mine),
                    (1 / (1 + math.exp(-z / temperature)) for z in theirs),
                    strict=True,
                )
            )
            * temperature**2
            for mine, theirs in zip(student.tolist(), teacher.tolist(), strict=True)
        ]
        found = make({}).distance(student, teacher, temperature)
        torch.testing.assert_close(found, torch.tensor(expected).double())
    pupil = teacher.clone().requires_grad_()
    make({}).distance(pupil, teacher, 2.0).sum().backward()
    torch.testing.assert_close(pupil.grad, torch.zeros_like(pupil))


def test_what_cannot_be_is_refused_with_the_remedy() -> None:
    for wrong in ({"positive_weights": [0.0]}, {"positive_weights": "even"}):
        with pytest.raises(ValidationError):
            MultiLabelOptions(**wrong)
    with pytest.raises(StrategyError, match="has 2 numbers for 3 labels: give one for each"):
        make({"positive_weights": [1.0, 2.0]}, outputs=6)
    numbers = MultiLabel(MultiLabelOptions(positive_weights=[1.0, 2.0]))
    with pytest.raises(StrategyError, match="has 2 numbers, and the model 3 outputs"):
        Learner(build("mlp", 3), [], outputs=3, objective=numbers)
    balanced = MultiLabel(MultiLabelOptions(positive_weights="balanced"))
    with pytest.raises(StrategyError, match="give a number for each label"):
        Learner(build("mlp", 3), [], outputs=3, objective=balanced, online=True)
    with pytest.raises(StrategyError, match="icarl is for classification"):
        Learner(build("mlp", 3), [make_strategy("icarl")], outputs=3, objective=MultiLabel())
