"""The loss of a batch: cross entropy, what a strategy puts in its place, and what strategies add."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from strategies.api.data import Batch
from strategies.api.strategy import Strategy
from strategies.loop.batch_loss import batch_loss
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from tests.strategies.models import build
from tests.strategies.streams import stream


class Adds(Strategy):
    """Adds a number to the loss."""

    name = "adds"
    value: float | None = 2.0

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        return None if self.value is None else torch.tensor(self.value)


class Replaces(Strategy):
    """Puts the mean output in the place of the cross entropy."""

    name = "replaces"

    def training_loss(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        return output.mean()


def prepared(*strategies: Strategy, setting: str = "class-incremental") -> tuple[Learner, Batch, Tensor]:
    """A learner in its second experience, a batch of it, and the model's output."""
    experiences, outputs = stream(setting)
    learner = Learner(build("mlp-float32", outputs), strategies, outputs=outputs)
    next(learner.steps(experiences[1], TrainSettings(batch_size=5), past=experiences[:1]))
    train = experiences[1].train
    inputs, targets = learner.prepare(train.inputs[:5]), train.targets[:5]
    batch = Batch(inputs, targets, torch.ones(5).long(), None, 5.0, 5, 5)
    return learner, batch, learner.model(inputs)


def test_it_is_the_mean_cross_entropy_of_the_global_batch() -> None:
    learner, batch, output = prepared()
    torch.testing.assert_close(batch_loss(learner, batch, "fp32"), F.cross_entropy(output, batch.targets))
    # A rank's part of a batch of ten.
    half = Batch(batch.inputs, batch.targets, batch.experiences, None, 10.0, 5, 10)
    torch.testing.assert_close(batch_loss(learner, half, "fp32"), F.cross_entropy(output, batch.targets) / 2)


def test_weights_count_samples_more_or_less() -> None:
    learner, batch, output = prepared()
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0, 4.0])
    weighted = Batch(batch.inputs, batch.targets, batch.experiences, weights, 8.0, 5, 5)
    expected = (F.cross_entropy(output, batch.targets, reduction="none") * weights).sum() / 8
    torch.testing.assert_close(batch_loss(learner, weighted, "fp32"), expected)


def test_only_active_units_take_part() -> None:
    learner, batch, output = prepared(setting="task-incremental")
    expected = F.cross_entropy(output[:, 2:4], batch.targets - 2)
    torch.testing.assert_close(batch_loss(learner, batch, "fp32"), expected)


def test_strategies_replace_and_add() -> None:
    silent = Adds()
    silent.value = None
    learner, batch, output = prepared(Adds(), silent, Adds())
    torch.testing.assert_close(batch_loss(learner, batch, "fp32"), F.cross_entropy(output, batch.targets) + 4)
    learner, batch, output = prepared(Adds(), Replaces())
    torch.testing.assert_close(batch_loss(learner, batch, "fp32"), output.mean() + 2)


def test_in_bf16_the_forward_pass_is_coarser_and_the_loss_is_float32() -> None:
    learner, batch, _ = prepared()
    exact, coarse = batch_loss(learner, batch, "fp32"), batch_loss(learner, batch, "bf16")
    assert coarse.dtype == torch.float32 and not torch.equal(exact, coarse)
    assert float(coarse) == pytest.approx(float(exact), rel=0.05)
