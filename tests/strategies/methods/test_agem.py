"""A-GEM: the one projection of each step, written out."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.agem import AGEM, AGEMOptions
from strategies.projection.reference_gradient import reference_gradient
from tests.strategies.models import build
from tests.strategies.streams import stream

TRAIN = TrainSettings(epochs=1, batch_size=12, optimizer="sgd", optimizer_options={"lr": 0.05})


def learned(samples: int = 1000) -> tuple[Learner, AGEM]:
    """After one experience, in the second; the reference is over the whole memory where `samples` is large."""
    experiences, outputs = stream("class-incremental")
    agem = AGEM(AGEMOptions(capacity=20, samples=samples))
    learner = Learner(build("mlp", outputs), [agem], outputs=outputs, seed=3)
    learner.learn(experiences[0], TRAIN)
    next(learner.steps(experiences[1], TRAIN, past=experiences[:1]))
    return learner, agem


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_gradient_against_the_reference_loses_its_part_along_it_and_another_stays(sign: float) -> None:
    learner, agem = learned()
    memory = agem.memory(learner)
    reference = flat(reference_gradient(learner, memory, torch.arange(len(memory))))
    parameters = list(learner.model.parameters())
    torch.manual_seed(0)
    raw = [torch.randn_like(p) for p in parameters]
    # Along the reference or against it, and something else beside.
    lean = float(sign * 3 / reference.norm())
    size = 0
    for parameter, noise in zip(parameters, raw, strict=True):
        part = reference[size : size + parameter.numel()].view_as(parameter)
        parameter.grad = noise * 1e-3 + lean * part
        size += parameter.numel()
    before = flat([p.grad for p in parameters if p.grad is not None]).clone()
    agem.after_backward(learner)
    after = flat([p.grad for p in parameters if p.grad is not None])
    if sign > 0:
        torch.testing.assert_close(after, before)
    else:
        expected = before - (before @ reference) / (reference @ reference) * reference
        torch.testing.assert_close(after, expected)
        assert abs(float(after @ reference)) < 1e-9


def test_no_step_goes_against_the_average_of_the_memory() -> None:
    experiences, outputs = stream("class-incremental")
    agem = AGEM(AGEMOptions(capacity=20, samples=500))
    learner = Learner(build("mlp", outputs), [agem], outputs=outputs)
    learner.learn(experiences[0], TRAIN)
    memory = agem.memory(learner)
    everything = torch.arange(len(memory))
    parameters = list(learner.model.parameters())
    steps = learner.steps(experiences[1], TRAIN, past=experiences[:1])
    active = 0
    while True:
        reference = reference_gradient(learner, memory, everything)
        before = [p.detach().clone() for p in parameters]
        if next(steps, None) is None:
            break
        taken = [(b - p.detach()) / 0.05 for b, p in zip(before, parameters, strict=True)]
        along = float(flat(taken) @ flat(reference))
        assert along >= -1e-6
        active += abs(along) < 1e-6
    assert active


def test_without_a_memory_nothing_changes() -> None:
    experiences, outputs = stream("class-incremental")
    plain, agem = (
        Learner(build("mlp", outputs), strategies, outputs=outputs, seed=3)
        for strategies in ([], [AGEM(AGEMOptions(capacity=20))])
    )
    for learner in (plain, agem):
        learner.learn(experiences[0], TRAIN)
    for mine, theirs in zip(plain.model.parameters(), agem.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_its_options() -> None:
    assert AGEMOptions().samples == 256
    with pytest.raises(ValidationError):
        AGEMOptions(samples=0)
