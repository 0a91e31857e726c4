"""Regression against its definitions, written down one sample at a time.

Covers: `strategies/objectives/target_columns.py`.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.importance.fisher import diagonal_fisher
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.objectives.regression import Regression, RegressionOptions, huber_information
from strategies.objectives.target_columns import active_columns, as_columns, check_head
from tests.strategies.cases import make_strategy
from tests.strategies.models import build
from tests.strategies.streams import Rows, Step

TARGETS = torch.tensor([[1e6, 0.1], [1e6 + 3, 0.1], [1e6 - 1, 0.1], [1e6 + 10, 0.1]], dtype=torch.float64)
OPTIONS: list[dict[str, Any]] = [{}, {"standardize": False}, {"loss": "huber", "delta": 0.5}]


def make(options: dict[str, Any], targets: Tensor = TARGETS, outputs: int = 2) -> Regression:
    objective = Regression(RegressionOptions(**options))
    objective.begin(targets, outputs)
    return objective


def standardized(options: dict[str, Any]) -> Tensor:
    """The targets as they are learned: a constant column only loses its mean."""
    if not options.get("standardize", True):
        return TARGETS
    first = TARGETS[:, 0]
    deviation = math.sqrt(sum((y - float(first.mean())) ** 2 for y in first.tolist()) / 4)
    return torch.stack([(first - first.mean()) / deviation, torch.zeros(4, dtype=torch.float64)], 1)


def by_hand(options: dict[str, Any], error: float) -> float:
    delta = options.get("delta", math.inf)
    return error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_losses_are_those_of_the_definition_and_keep_their_precision(options: dict[str, Any]) -> None:
    outputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective, wanted = make(options), standardized(options)
    expected = [
        sum(by_hand(options, z - t) for z, t in zip(row, other, strict=True))
        for row, other in zip(outputs.tolist(), wanted.tolist(), strict=True)
    ]
    torch.testing.assert_close(objective.loss(outputs, TARGETS), torch.tensor(expected).double())
    assert objective.loss(outputs.float(), TARGETS).dtype == torch.float32
    # In a task-incremental stream the outputs of other tasks are masked.
    others = torch.full((4, 2), -math.inf, dtype=torch.float64)
    masked = torch.cat([others, outputs], 1)
    assert torch.equal(objective.loss(masked, TARGETS), objective.loss(outputs, TARGETS))
    assert bool(objective.loss(masked * math.inf, TARGETS).isnan().all())
    # What an output stands for is in the targets' unit.
    torch.testing.assert_close(objective.answers(masked), objective.answers(outputs))
    torch.testing.assert_close(objective.answers(wanted), TARGETS, rtol=1e-12, atol=0)


def test_the_scale_is_that_of_experience_0_and_travels_with_the_state() -> None:
    objective = make({})
    state = objective.state_dict()
    objective.begin(TARGETS * 3 + 5, 2)
    assert all(torch.equal(value, state[name]) for name, value in objective.state_dict().items())
    for broken in ({"mean": state["mean"]}, {**state, "deviation": -state["deviation"]}):
        with pytest.raises(ValueError, match=r"do not fit together|not complete"):
            Regression().load_state_dict(broken)
    resumed = Regression()
    assert resumed.state_dict() == {}
    resumed.load_state_dict(state)
    resumed.begin(TARGETS * 3 + 5, 2)
    outputs = torch.ones(4, 2)
    assert torch.equal(resumed.loss(outputs, TARGETS), objective.loss(outputs, TARGETS))


def test_a_finished_model_answers_in_the_targets_unit() -> None:
    model = nn.Linear(3, 4)
    objective = make({}, outputs=4)
    inputs = torch.randn(5, 3)
    found = objective.in_unit(model)(inputs)
    expected = torch.cat([objective.answers(model(inputs)[:, columns]) for columns in ([0, 1], [2, 3])], 1)
    torch.testing.assert_close(found, expected.float())
    assert found.dtype == torch.float32
    assert Regression().in_unit(model) is model


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("units", [None, [1, 3]], ids=str)
def test_the_empirical_fisher_information_is_that_of_the_loss(options: dict[str, Any], units: list[int] | None) -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 4 if units else 2).double()
    inputs, wanted = torch.randn(4, 3, dtype=torch.float64), standardized(options)
    expected = torch.zeros_like(model.weight)
    for x, t in zip(inputs, wanted, strict=True):
        errors = model(x)[units or [0, 1]] - t
        loss = torch.stack([_loss(options, e) for e in errors]).sum()
        (gradient,) = torch.autograd.grad(loss, [model.weight])
        expected += gradient**2
    chosen = None if units is None else torch.tensor(units)
    found = diagonal_fisher(model, inputs, targets=TARGETS, units=chosen, objective=make(options))
    torch.testing.assert_close(found["weight"], expected)


def _loss(options: dict[str, Any], error: Tensor) -> Tensor:
    delta = options.get("delta", math.inf)
    return error.square() / 2 if float(error.detach().abs()) <= delta else delta * (error.abs() - delta / 2)


@pytest.mark.parametrize("options", [{}, {"loss": "huber", "delta": 0.5}, {"loss": "huber", "delta": 2.0}], ids=str)
def test_the_true_fisher_information_is_the_expectation_over_the_likelihood(options: dict[str, Any]) -> None:
    """Integrated numerically over all targets, weighed by exp(-loss)."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs = torch.randn(3, 3, dtype=torch.float64)
    errors = torch.linspace(-80, 80, 320_001, dtype=torch.float64)
    delta = options.get("delta", math.inf)
    density = torch.exp(
        -torch.where(errors.abs() <= delta, errors**2 / 2, min(delta, 1e9) * (errors.abs() - delta / 2))
    )
    score = errors.clamp(-delta, delta)
    information = float((density * score**2).sum() / density.sum())
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for x in inputs:
        # The columns are independent, and the expectation of a score is 0: no mixed terms.
        for column in range(2):
            gradients = torch.autograd.grad(model(x)[column], list(model.parameters()))
            for name, g in zip(expected, gradients, strict=True):
                expected[name] += information * g**2
    found = diagonal_fisher(model, inputs, objective=make(options))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    if "delta" in options:
        assert huber_information(options["delta"]) == pytest.approx(information, rel=1e-6)


def test_distances_are_half_the_squares_at_any_temperature() -> None:
    student = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 4.0], [0.0, 0.0]])
    for temperature in (1.0, 3.0):
        assert make({}).distance(student, teacher, temperature).tolist() == [2.5, 0.0]
    make({}).distance(student, teacher, 2.0).sum().backward()
    assert student.grad is not None and student.grad.tolist() == [[1.0, -2.0], [0.0, 0.0]]


def test_what_cannot_be_is_refused_with_the_remedy() -> None:
    for wrong in ({"delta": 2.0}, {"delta": 0.0, "loss": "huber"}, {"loss": "absolute"}):
        with pytest.raises(ValidationError):
            RegressionOptions(**wrong)
    with pytest.raises(StrategyError, match="the targets have 2 columns, and the model 3 outputs"):
        make({}, outputs=3)
    with pytest.raises(StrategyError, match="0 columns"):
        check_head(torch.zeros(3, 0), 2)
    for name, options, text in (
        ("gdumb", {}, "gdumb is for classification, not for regression: use {name: replay}"),
        ("replay", {"policy": "class-balanced"}, "set policy: uniform"),
        ("packnet", {"infer_task": True}, "leave infer_task out"),
    ):
        with pytest.raises(StrategyError, match=text):
            Learner(build("mlp", 2), [make_strategy(name, options)], outputs=2, objective=Regression())


def test_real_targets_are_learned_in_their_unit() -> None:
    """Scikit-learn's diabetes (a number of 25 to 346), in two domains by age, and linnerud (three columns, 20 rows)."""
    from sklearn.datasets import load_diabetes, load_linnerud

    inputs, wanted = (torch.from_numpy(values) for values in load_diabetes(return_X_y=True))
    old = inputs[:, 0] > inputs[:, 0].median()
    steps = [
        Step(i, *(_rows(inputs[own] * 20, wanted[own], part, i) for part in (False, True)), ())
        for i, own in enumerate((~old, old))
    ]
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1)).double()
    learner = Learner(model, [make_strategy("replay", {"capacity": 200})], outputs=1, objective=Regression())
    for step in steps:
        learner.learn(step, TrainSettings(epochs=20, batch_size=16, optimizer_options={"lr": 0.003}), past=steps[:1])
    for step in steps:
        with torch.no_grad():
            found = learner.objective.answers(model(step.test.inputs))
        errors, spread = found - step.test.targets, step.test.targets - step.test.targets.mean()
        assert 1 - float(errors.square().sum() / spread.square().sum()) > 0.3  # ridge regression reaches 0.4 to 0.5
        assert 30 < float(errors.abs().mean()) < 60

    exercises, body = (torch.from_numpy(values) for values in load_linnerud(return_X_y=True))
    objective = make({}, body, 3)
    perfect = (body - body.mean(0)) / body.std(0, correction=0)
    torch.testing.assert_close(objective.loss(perfect, body), torch.zeros(20).double(), rtol=0, atol=1e-20)
    torch.testing.assert_close(objective.answers(perfect), body)
    assert exercises.shape == (20, 3)


def _rows(inputs: Tensor, targets: Tensor, test: bool, domain: int) -> Rows:
    chosen = (torch.arange(len(inputs)) % 4 == 0) == test
    return Rows(inputs[chosen], targets[chosen][:, None], (domain << 40) + torch.arange(int(chosen.sum())))


def test_one_column_may_be_flat() -> None:
    flat = torch.tensor([1.0, 2.0, 4.0])
    assert as_columns(flat).shape == (3, 1) and as_columns(TARGETS) is TARGETS
    objective = make({}, flat, 1)
    assert torch.equal(objective.loss(torch.ones(3, 1), flat), objective.loss(torch.ones(3, 1), flat[:, None]))
    assert torch.equal(active_columns(torch.ones(3, 1), 1), torch.ones(3, 1))
