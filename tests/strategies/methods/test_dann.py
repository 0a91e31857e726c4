"""Domain-adversarial training: the gradients of the paper, on the batches of replay."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.compatibility import Listed, warnings
from strategies.api.data import Batch
from strategies.api.guide import CLASS, DOMAIN, TASK
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.dann import DANN, DANNOptions, schedule
from strategies.methods.replay import Replay, ReplayOptions
from tests.strategies.models import build
from tests.strategies.streams import Step, stream

RATE = 0.1
TRAIN = TrainSettings(epochs=2, batch_size=10, optimizer="sgd", optimizer_options={"lr": RATE})
SMALL: dict[str, Any] = {"capacity": 20, "hidden": (5,), "lr": 0.01}


class Watch(Strategy):
    """Keeps the last batch and the last gradients, and the model that they are of."""

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        self.batch = batch
        self.model = [p.detach().clone() for p in learner.model.parameters()]
        return batch

    def after_backward(self, learner: Learner) -> None:
        self.gradients = [p.grad.clone() for p in learner.model.parameters() if p.grad is not None]


def started(strategy: Strategy, *others: Strategy, model: str = "mlp") -> tuple[Learner, list[Step]]:
    """A learner after the first domain."""
    steps, outputs = stream("domain-incremental")
    learner = Learner(build(model, outputs), [strategy, *others], outputs=outputs, seed=3)
    learner.learn(steps[0], TRAIN)
    return learner, steps


def weights(learner: Learner) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in learner.model.named_parameters()}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_layers_below_the_head_get_the_reversed_gradient(accumulate: int) -> None:
    dann, watch = DANN(DANNOptions(**SMALL, **{"lambda": 2.0})), Watch()
    learner, steps = started(dann, watch)
    discriminators: list[list[Tensor]] = []
    settings = TrainSettings(**{**vars(TRAIN), "accumulate": accumulate})
    for step in learner.steps(steps[1], settings, past=steps[:1]):
        state = dann.discriminator.state_dict("d")
        discriminators.append([t.clone() for name, t in state.items() if name.startswith("d.")])
        if step == 4:
            break

    model = build("mlp", 3)
    with torch.no_grad():
        for p, value in zip(model.parameters(), watch.model, strict=True):
            p.copy_(value)
    flatten, enter, relu, head = list(model.model)  # type: ignore[union-attr, arg-type]
    features = relu(enter(flatten(watch.batch.inputs.double())))
    w1, b1, w2, b2 = discriminators[2]  # as the third step left it
    domain = F.linear(F.linear(features, w1, b1).relu(), w2, b2)
    label_loss = F.cross_entropy(head(features), watch.batch.targets)
    domain_loss = F.cross_entropy(domain, watch.batch.experiences)
    lambda_p = 2.0 * (2 / (1 + math.exp(-10 * 3 / learner.length)) - 1)
    expected = torch.autograd.grad(label_loss - lambda_p * domain_loss, list(model.parameters()))
    for found, right in zip(watch.gradients, expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-7)


def test_the_discriminator_learns_to_tell_the_domains() -> None:
    dann = DANN(DANNOptions(**SMALL | {"lr": 0.05}, **{"lambda": 1e-9}))
    learner, steps = started(dann)
    list(learner.steps(steps[1], TrainSettings(epochs=20, optimizer_options={"lr": 0.0}), past=steps[:1]))
    net = dann._discriminator(learner, 16)
    body: nn.Sequential = learner.model.model[:-1]  # type: ignore[index, union-attr]
    right = [
        (net(body(learner.prepare(s.train.inputs).double())).argmax(1) == s.index).float().mean() for s in steps[:2]
    ]
    assert min(right) > 0.7


def test_without_the_adversary_it_is_replay() -> None:
    runs = []
    for strategy in (
        DANN(DANNOptions(**SMALL, **{"lambda": 0.0})),
        Replay(ReplayOptions(capacity=20)),
        DANN(DANNOptions(**SMALL)),
    ):
        learner, steps = started(strategy)
        learner.learn(steps[1], TRAIN, past=steps[:1])
        runs.append((weights(learner), next(iter(learner.memories().values())).tensors))
    (zero, memory), (replay, replayed), (dann, _) = runs
    assert all(torch.equal(zero[name], replay[name]) for name in replay)
    assert all(torch.equal(memory[name], replayed[name]) for name in replayed)
    assert not all(torch.equal(dann[name], replay[name]) for name in replay)


def test_the_schedule_is_that_of_the_paper() -> None:
    assert schedule(0.0) == 0.0
    assert schedule(0.1) == pytest.approx(0.46211715726)
    assert schedule(1.0) == pytest.approx(0.99990920426)


def test_nothing_is_left_on_the_model_nor_of_the_discriminator() -> None:
    dann = DANN(DANNOptions(**SMALL))
    learner, steps = started(dann)
    for _ in learner.steps(steps[1], TRAIN, past=steps[:1]):
        assert not any(layer._forward_pre_hooks for layer in learner.model.modules())
        assert {name.partition(".")[0] for name in dann.state_dict()} == {"discriminator", "adam"}
    learner.consolidate()
    assert not dann.state_dict()


def test_other_settings_are_warned_about_and_headless_models_refused() -> None:
    assert warnings([Listed(DANN)], DOMAIN) == [[]]
    for setting in (CLASS, TASK):
        ((problem,),) = warnings([Listed(DANN)], setting)
        assert "{name: replay}" in problem

    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = build("mlp", 3)

        def forward(self, inputs: Tensor) -> Tensor:
            return 2 * self.inner(inputs)  # type: ignore[no-any-return]

    steps, outputs = stream("domain-incremental")
    learner = Learner(Doubled(), [DANN(DANNOptions(**SMALL))], outputs=outputs)
    learner.learn(steps[0], TRAIN)
    with pytest.raises(StrategyError, match="dann discriminates by what enters the head"):
        learner.learn(steps[1], TRAIN, past=steps[:1])
