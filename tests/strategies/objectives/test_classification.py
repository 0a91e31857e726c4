"""Classification with its options, against the definitions written down one sample at a time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.importance.fisher import diagonal_fisher
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.memory.reservoir import Memory
from strategies.objectives.classification import Classification, ClassificationOptions
from strategies.projection.reference_gradient import reference_gradient
from tests.strategies.cases import make_strategy
from tests.strategies.models import build
from tests.strategies.streams import stream

OPTIONS: list[dict[str, Any]] = [
    {},
    {"class_weights": [0.5, 3.0, 1.0, 0.0]},
    {"class_weights": "balanced"},
    {"label_smoothing": 0.2},
    {"focal": 2.0},
    {"focal": 0.5, "class_weights": [2.0, 1.0, 1.0, 4.0]},
    {"label_smoothing": 0.1, "class_weights": "balanced"},
]
TARGETS = torch.tensor([0, 1, 1, 3, 1, 0, 1])


def make(options: dict[str, Any], targets: Tensor = TARGETS, outputs: int = 4) -> Classification:
    objective = Classification(ClassificationOptions(**options))
    objective.begin(targets, outputs)
    return objective


def weight(options: dict[str, Any], label: int) -> float:
    """The class weight, as the documentation says it."""
    weights = options.get("class_weights")
    if weights is None:
        return 1.0
    if weights != "balanced":
        return float(weights[label])
    counts = torch.bincount(TARGETS, minlength=4).tolist()
    return len(TARGETS) / (sum(c > 0 for c in counts) * counts[label]) if counts[label] else 1.0


def by_hand(options: dict[str, Any], logits: list[float], label: int) -> float:
    """The loss of one sample."""
    active = [z for z in logits if z > -math.inf]
    log_p = [z - math.log(sum(math.exp(other) for other in active)) for z in logits]
    smoothing, gamma = options.get("label_smoothing", 0.0), options.get("focal", 0.0)
    spread = -sum(log_p[k] for k, z in enumerate(logits) if z > -math.inf) / len(active)
    loss = (1 - smoothing) * -log_p[label] + smoothing * spread
    return weight(options, label) * (1 - math.exp(log_p[label])) ** gamma * loss


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_losses_are_those_of_the_definition(options: dict[str, Any], masked: bool) -> None:
    torch.manual_seed(0)
    logits = torch.randn(len(TARGETS), 4, dtype=torch.float64) * 3
    if masked:
        logits[:, 2] = -math.inf
    objective = make(options)
    expected = [by_hand(options, row.tolist(), int(label)) for row, label in zip(logits, TARGETS, strict=True)]
    torch.testing.assert_close(objective.loss(logits, TARGETS), torch.tensor(expected).double())
    torch.testing.assert_close(objective.total(logits, TARGETS), torch.tensor(expected).double().sum())
    # Some of the units alone, with targets as positions among them.
    units = torch.tensor([0, 1, 3])
    places = torch.searchsorted(units, TARGETS)
    alone = objective.loss(logits[:, units], places, units)
    logits[:, 2] = -math.inf
    torch.testing.assert_close(alone, objective.loss(logits, TARGETS))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_finite_however_sure_the_model_is(options: dict[str, Any]) -> None:
    logits = torch.tensor([[200.0, -200.0, 0.0, -math.inf], [0.0, 1e-3, 0.0, 0.0]], requires_grad=True)
    make(options).total(logits, torch.tensor([0, 1])).backward()
    assert logits.grad is not None and bool(logits.grad.isfinite().all())


def test_without_options_it_is_torchs_cross_entropy_to_the_bit() -> None:
    logits = torch.randn(50, 4)
    targets = torch.arange(50) % 4
    objective = make({})
    assert torch.equal(objective.loss(logits, targets), F.cross_entropy(logits, targets, reduction="none"))
    assert torch.equal(objective.total(logits, targets), F.cross_entropy(logits, targets, reduction="sum"))
    assert not objective.options.changes_loss and all(make(given).options.changes_loss for given in OPTIONS[1:])


def test_balanced_weights_have_a_mean_of_one_and_give_each_class_the_same_share() -> None:
    objective = make({"class_weights": "balanced"})
    weights = objective.weights(TARGETS)
    assert weights is not None
    assert float(weights.mean()) == pytest.approx(1)
    shares = [float(weights[label == TARGETS].sum()) for label in (0, 1, 3)]
    assert shares == pytest.approx([len(TARGETS) / 3] * 3)
    assert objective.weights(torch.tensor([2])) == 1  # a class that only a memory holds


@pytest.mark.parametrize("options", OPTIONS[:3], ids=str)
@pytest.mark.parametrize("units", [None, [0, 1, 3]], ids=str)
@pytest.mark.parametrize("empirical", [True, False])
def test_the_fisher_information_counts_a_sample_by_its_weight(
    options: dict[str, Any], units: list[int] | None, empirical: bool
) -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 4).double()
    inputs = torch.randn(len(TARGETS), 3, dtype=torch.float64)
    columns = list(range(4)) if units is None else units
    expected = torch.zeros(4, 3, dtype=torch.float64)
    for x, target in zip(inputs, TARGETS.tolist(), strict=True):
        for label in [target] if empirical else columns:
            log_p = model(x)[columns].float().log_softmax(0)[columns.index(label)]
            (gradient,) = torch.autograd.grad(log_p, [model.weight])
            expected += gradient**2 * weight(options, label) * (1 if empirical else log_p.detach().exp())
    found = diagonal_fisher(
        model,
        inputs,
        targets=TARGETS if empirical else None,
        units=None if units is None else torch.tensor(units),
        objective=make(options),
    )
    torch.testing.assert_close(found["weight"], expected, rtol=1e-5, atol=1e-7)


def test_reference_gradients_are_those_of_the_objective() -> None:
    experiences, outputs = stream("domain-incremental")
    options = {"class_weights": [3.0, *[0.25] * (outputs - 1)], "focal": 1.0}
    learner = Learner(
        build("mlp", outputs), [], outputs=outputs, objective=Classification(ClassificationOptions(**options))
    )
    next(learner.steps(experiences[0], TrainSettings(batch_size=5)))
    train = experiences[0].train
    memory = Memory(30)
    memory.add(0, {"ids": train.ids, "inputs": train.inputs, "targets": train.targets})
    chosen = torch.arange(7)
    found = reference_gradient(learner, memory, chosen)
    inputs, targets = memory.tensors["inputs"][chosen], memory.tensors["targets"][chosen]
    loss = learner.objective.loss(learner.model(learner.prepare(inputs)).float(), targets).mean()
    expected = torch.autograd.grad(loss, list(learner.model.parameters()))
    torch.testing.assert_close(found, list(expected))


def test_what_cannot_be_is_refused_with_the_remedy() -> None:
    def refused(options: dict[str, Any], *names: str, online: bool = False) -> str:
        objective = Classification(ClassificationOptions(**options))
        with pytest.raises(StrategyError) as error:
            Learner(build("mlp", 4), [make_strategy(n) for n in names], outputs=4, objective=objective, online=online)
        return str(error.value)

    assert refused({"class_weights": [1.0, 2.0]}) == (
        "objective.class_weights: has 2 numbers, and the model 4 outputs: give one for each"
    )
    assert "give a number for each output" in refused({"class_weights": "balanced"}, "naive", online=True)
    assert "icarl trains a loss of its own" in refused({"focal": 2.0}, "icarl")
    for wrong in ({"class_weights": [0.0, 0.0]}, {"class_weights": [-1.0]}, {"focal": 1, "label_smoothing": 0.1}):
        with pytest.raises(ValidationError):
            ClassificationOptions(**wrong)
