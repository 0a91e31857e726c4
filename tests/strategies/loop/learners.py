"""Learners on small models, for the tests of the learning loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from tests.strategies.models import build
from tests.strategies.streams import Step

SEED = 3


def make(strategies: Sequence[Strategy] = (), model: str = "mlp-float32", outputs: int = 6) -> Learner:
    return Learner(build(model, outputs), strategies, outputs=outputs, seed=SEED)


def learn_all(learner: Learner, experiences: Sequence[Step], settings: TrainSettings) -> None:
    for e in experiences:
        learner.learn(e, settings, past=experiences[: e.index])


def weights(learner: Learner) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    torch.testing.assert_close(one, other, **({"rtol": 0, "atol": 0} | tolerance))
