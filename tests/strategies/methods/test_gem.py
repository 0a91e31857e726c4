"""GEM: steps that do not raise the loss on the past."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.gem import GEM, GEMOptions
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, Step, stream

TRAIN = TrainSettings(epochs=2, batch_size=12, optimizer="sgd", optimizer_options={"lr": 0.05})


def past_loss(learner: Learner, memory: dict[str, Tensor], experience: Step) -> Tensor:
    """Mean cross entropy on the memory's samples of an experience, by its own units only."""
    own = memory["experiences"] == experience.index
    output = learner.model(memory["inputs"][own].float() / 255)
    targets = memory["targets"][own]
    if experience.outputs is not None:
        units = torch.tensor(experience.outputs)
        output, targets = output[:, units], torch.searchsorted(units, targets)
    return F.cross_entropy(output.float(), targets)


def inner(a: list[Tensor], b: list[Tensor]) -> float:
    return float(sum((x * y).sum() for x, y in zip(a, b, strict=True)))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_step_of_gem_keeps_the_constraints(setting: str) -> None:
    experiences, outputs = stream(setting)
    gem = GEM(GEMOptions(capacity=30, margin=0.0))
    learner = Learner(build("mlp", outputs), [gem], outputs=outputs)
    for experience in experiences[:2]:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
    parameters = list(learner.model.parameters())
    changed = 0
    steps = learner.steps(experiences[2], TRAIN, past=experiences[:2])
    before = [p.detach().clone() for p in parameters]
    held = gem.memory(learner).tensors

    def references() -> list[list[Tensor]]:
        return [list(torch.autograd.grad(past_loss(learner, held, e), parameters)) for e in experiences[:2]]

    expected = references()
    for _ in steps:
        taken = [(b - p.detach()) / 0.05 for b, p in zip(before, parameters, strict=True)]
        for reference in expected:
            assert inner(taken, reference) >= -1e-6
            changed += abs(inner(taken, reference)) < 1e-6
        expected = references()
        before = [p.detach().clone() for p in parameters]
    assert changed, "no constraint was ever active: the test shows nothing"


@pytest.mark.parametrize("setting", SETTINGS)
def test_reference_gradients_are_those_of_the_past(setting: str) -> None:
    experiences, outputs = stream(setting)
    gem = GEM(GEMOptions(capacity=30))
    learner = Learner(build("mlp", outputs), [gem], outputs=outputs)
    for experience in experiences:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
    held = gem.memory(learner).tensors
    for experience, found in zip(experiences, gem.references(learner), strict=True):
        expected = list(torch.autograd.grad(past_loss(learner, held, experience), list(learner.model.parameters())))
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_gem_can_draw_from_each_experience() -> None:
    experiences, outputs = stream("class-incremental")
    states = []
    for samples in (None, 3):
        learner = Learner(build("mlp", outputs), [GEM(GEMOptions(capacity=30, samples=samples))], outputs=outputs)
        for experience in experiences[:2]:
            learner.learn(experience, TRAIN)
        states.append(learner.model.state_dict()["model.3.bias"].clone())
    assert not torch.equal(*states)
