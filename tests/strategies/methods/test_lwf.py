"""The distillation of LwF, written out."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from strategies.api.data import Batch
from strategies.distillation.soft_targets import softened_cross_entropy
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.lwf import LwF, LwFOptions
from tests.strategies.models import build
from tests.strategies.streams import stream

SETTINGS = TrainSettings(epochs=1, batch_size=12, optimizer_options={"lr": 0.01})
ALPHA, TEMPERATURE = 0.7, 3.0


def by_hand(output: Tensor, teacher: Tensor, units: list[int]) -> float:
    total = 0.0
    for row, other in zip(output.tolist(), teacher.tolist(), strict=True):
        mine = [math.exp(row[u] / TEMPERATURE) for u in units]
        theirs = [math.exp(other[u] / TEMPERATURE) for u in units]
        total -= sum(q / sum(theirs) * math.log(p / sum(mine)) for p, q in zip(mine, theirs, strict=True))
    return total * TEMPERATURE**2 / len(output)


@pytest.mark.parametrize(
    ("setting", "weighting", "heads", "factor"),
    [
        ("class-incremental", "experiences", [[0, 1, 2, 3]], 2.0),
        ("class-incremental", "constant", [[0, 1, 2, 3]], 1.0),
        ("task-incremental", "experiences", [[0, 1], [2, 3]], 2.0),
        ("domain-incremental", "experiences", [[0, 1, 2]], 2.0),
    ],
)
def test_loss_is_the_distance_from_the_previous_model(
    setting: str, weighting: str, heads: list[list[int]], factor: float
) -> None:
    experiences, outputs = stream(setting)
    lwf = LwF(LwFOptions(alpha=ALPHA, temperature=TEMPERATURE, weighting=weighting))  # type: ignore[arg-type]
    learner = Learner(build("mlp", outputs), [lwf], outputs=outputs)
    for experience in experiences[:2]:
        learner.learn(experience, SETTINGS, past=experiences[: experience.index])
    teacher = copy.deepcopy(learner.model)
    steps = learner.steps(experiences[2], SETTINGS, past=experiences[:2])
    next(steps)
    next(steps)
    inputs, targets = experiences[2].train.take(torch.arange(5))
    prepared = learner.prepare(inputs)
    batch = Batch(prepared, targets, torch.full((5,), 2), None, 5.0, 5, 5)
    output = learner.model(prepared)
    found = lwf.loss_term(learner, batch, output)
    expected = sum(by_hand(output, teacher(prepared), units) for units in heads) / len(heads) * ALPHA * factor
    assert found is not None
    assert found.item() == pytest.approx(expected, rel=1e-9)
    steps.close()


def test_nothing_is_distilled_before_something_was_learned() -> None:
    experiences, outputs = stream("class-incremental")
    lwf = LwF()
    learner = Learner(build("mlp", outputs), [lwf], outputs=outputs)
    next(learner.steps(experiences[0], SETTINGS))
    batch = Batch(torch.zeros(1, 36), torch.zeros(1).long(), torch.zeros(1).long(), None, 1.0, 1, 1)
    assert lwf.loss_term(learner, batch, torch.zeros(1, outputs)) is None


def test_a_perfect_pupil_has_no_gradient() -> None:
    output = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    softened_cross_entropy(output, output.detach(), 2.0).sum().backward()
    torch.testing.assert_close(output.grad, torch.zeros_like(output))
