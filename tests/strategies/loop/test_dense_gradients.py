"""Embeddings with sparse gradients learn with every optimiser and beside every strategy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import OPTIMIZERS, TrainSettings
from strategies.methods.ewc import EWC, EWCOptions
from tests.strategies.streams import stream


class Words(nn.Module):
    """Pixels as words."""

    def __init__(self, outputs: int, *, sparse: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(256, 4, sparse=sparse)
        self.head = nn.Linear(4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.words((x.flatten(1) * 255).long()).mean(1))
        return output


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sparse_embeddings_learn_as_others(name: str) -> None:
    found = []
    for sparse in (True, False):
        experiences, outputs = stream("class-incremental")
        strategy = EWC(EWCOptions.model_validate({"lambda": 5.0}))
        learner = Learner(Words(outputs, sparse=sparse), [strategy], outputs=outputs, seed=3)
        for experience in experiences[:2]:
            learner.learn(experience, TrainSettings(1, None, 8, name, {"lr": 0.01}, clip=1.0))
        found.append(learner.model.state_dict())
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


class OwnWords(Words):
    """Asks for sparse gradients by itself."""

    def forward(self, x: Tensor) -> Tensor:
        found = nn.functional.embedding((x.flatten(1) * 255).long(), self.words.weight, sparse=True)
        output: Tensor = self.head(found.mean(1))
        return output


def test_a_model_that_makes_sparse_gradients_by_itself_is_refused_by_name() -> None:
    experiences, outputs = stream("class-incremental")
    learner = Learner(OwnWords(outputs, sparse=False), [EWC()], outputs=outputs)
    with pytest.raises(StrategyError, match=r"'words.weight' is sparse.* without sparse=True"):
        learner.learn(experiences[0], TrainSettings(1, None, 8))
