"""The contract: what the base class leaves to an objective, and what it gives it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.objectives.objective import Objective
from tests.strategies.models import build
from tests.strategies.streams import stream


class Absolute(Objective):
    """The distance of the first output from the target."""

    name = "absolute"

    def loss(self, output: Tensor, targets: Tensor, units: Tensor | None = None) -> Tensor:
        return (output[:, 0] - targets).abs()


def test_an_objective_of_ones_own_is_trained_and_asks_for_its_loss_alone() -> None:
    experiences, outputs = stream("domain-incremental")
    learner = Learner(build("mlp", outputs), [], outputs=outputs, objective=Absolute())
    inputs = learner.prepare(experiences[0].train.inputs)
    targets = experiences[0].train.targets
    before = learner.objective.total(learner.model(inputs), targets)
    torch.testing.assert_close(before, (learner.model(inputs)[:, 0] - targets).abs().sum())
    learner.learn(experiences[0], TrainSettings(epochs=5, batch_size=5, optimizer_options={"lr": 0.02}))
    assert learner.objective.total(learner.model(inputs), targets) < before / 2


@pytest.mark.parametrize("method", ["loss", "learned_units", "fisher_targets", "distance"])
def test_what_an_objective_does_not_define_is_named(method: str) -> None:
    with pytest.raises(StrategyError, match=f"defines no `{method}`"):
        getattr(Objective(), method)(*[None] * (2 if method in ("loss", "learned_units") else 3))
