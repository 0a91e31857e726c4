"""The loss of DER and DER++, written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from strategies.api.data import Batch
from strategies.api.strategy import Strategy
from strategies.loop.batch_loss import batch_loss
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import generator
from strategies.loop.train_settings import TrainSettings
from strategies.methods.der import DER, DEROptions
from strategies.methods.replay import Replay, ReplayOptions
from tests.strategies.models import build
from tests.strategies.streams import Step, stream

TRAIN = TrainSettings(epochs=1, batch_size=12, optimizer_options={"lr": 0.02})
ALPHA, BETA = 0.6, 0.3


def learned(der: DER, setting: str = "class-incremental", *others: Strategy) -> tuple[Learner, list[Step]]:
    """A learner in the middle of its third experience."""
    experiences, outputs = stream(setting)
    learner = Learner(build("mlp", outputs), [der, *others], outputs=outputs, seed=5)
    for experience in experiences[:2]:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
    steps = learner.steps(experiences[2], TRAIN, past=experiences[:2])
    next(steps)
    next(steps)
    steps.close()
    return learner, experiences


def current(learner: Learner, experience: Step, n: int = 9) -> Batch:
    inputs, targets = experience.train.take(torch.arange(n))
    return Batch(learner.prepare(inputs), targets, torch.full((n,), experience.index), None, float(n), n, n)


@pytest.mark.parametrize("setting", ["class-incremental", "task-incremental"])
@pytest.mark.parametrize("beta", [0.0, BETA])
def test_loss_is_that_of_the_paper(setting: str, beta: float) -> None:
    der = DER(DEROptions(capacity=20, alpha=ALPHA, beta=beta, ratio=0.4))
    learner, experiences = learned(der, setting)
    own = current(learner, experiences[2])
    batch = der.extend_batch(learner, own)
    found = batch_loss(learner, batch, "float32")

    memory = der.memory(learner)
    expected = F.cross_entropy(learner.masked(learner.model(own.inputs), own.experiences), own.targets)
    n = round(9 * 0.4 / 0.6)
    for purpose, weight in (("der-logits", ALPHA), ("der-labels", beta)):
        drawn = memory.draw(n, generator(5, purpose, 2, learner.step))
        output = learner.model(learner.prepare(memory.tensors["inputs"][drawn]))
        origin = memory.tensors["experiences"][drawn]
        if purpose == "der-labels":
            expected = expected + weight * F.cross_entropy(
                learner.masked(output, origin), memory.tensors["targets"][drawn]
            )
            continue
        logits, total = memory.tensors["logits"][drawn], torch.zeros(())
        for row, stored, where in zip(output, logits, origin.tolist(), strict=True):
            units = list(experiences[where].outputs or range(learner.outputs))
            total = total + F.mse_loss(row[units], stored[units]) / n
        expected = expected + weight * total
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-6, atol=1e-9)


def test_logits_are_those_at_the_end_of_the_experience_and_stay() -> None:
    experiences, outputs = stream("class-incremental")
    der = DER(DEROptions(capacity=1000))
    learner = Learner(build("mlp", outputs), [der], outputs=outputs)
    stored: dict[int, torch.Tensor] = {}
    for experience in experiences:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
        held = der.memory(learner).tensors
        new = held["experiences"] == experience.index
        with torch.no_grad():
            torch.testing.assert_close(held["logits"][new], learner.model(learner.prepare(held["inputs"][new])))
        for past, logits in stored.items():
            assert torch.equal(held["logits"][held["experiences"] == past], logits)
        stored[experience.index] = held["logits"][new].clone()


def test_replay_behind_it_leaves_the_distance_as_it_is() -> None:
    learner, experiences = learned(
        der := DER(DEROptions(capacity=20)), "class-incremental", replay := Replay(ReplayOptions(capacity=20))
    )
    batch = der.extend_batch(learner, current(learner, experiences[2]))
    longer = replay.extend_batch(learner, batch)
    assert len(longer) > len(batch)
    with torch.no_grad():
        first = der.loss_term(learner, batch, learner.model(batch.inputs))
        second = der.loss_term(learner, longer, learner.model(longer.inputs))
    torch.testing.assert_close(first, second)
