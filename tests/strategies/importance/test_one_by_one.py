"""Importances of models that torch.func cannot run."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from strategies.importance.fisher import diagonal_fisher
from strategies.importance.one_by_one import SlowImportance
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.mas import output_sensitivity
from tests.strategies.cases import make_strategy
from tests.strategies.definitions import fisher, sensitivity
from tests.strategies.streams import stream


class Net(nn.Module):
    """A small network with one thing in it that torch.func cannot run."""

    def __init__(self, kind: str, outputs: int = 3) -> None:
        super().__init__()
        self.kind = kind
        recurrent: dict[str, Any] = {"gru": nn.GRU, "rnn": nn.RNN, "lstm": nn.LSTM}
        self.recurrent = recurrent.get(kind, nn.GRU)(6, 5, batch_first=True)
        self.enter, self.norm = nn.Linear(6, 5), nn.LayerNorm(5)
        self.experts = nn.ModuleList(nn.Linear(5, 5) for _ in range(2))
        self.head = nn.Linear(5, outputs)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(len(x), 6, 6)
        recurs = self.kind in ("gru", "rnn", "lstm")
        hidden = self.recurrent(x)[0][:, -1] if recurs else self.enter(x.mean(1))
        if self.kind == "item" and hidden.detach().abs().max().item() > 0.1:
            hidden = hidden / 2
        if self.kind == "buffer":
            self.calls += 1
        if self.kind == "experts":
            chosen = hidden[:, 0] > 0
            mixed = torch.zeros_like(hidden)
            for value, expert in zip((True, False), self.experts, strict=True):
                rows = (chosen == value).nonzero().squeeze(1)
                mixed = mixed.index_add(0, rows, expert(hidden[rows]))
            hidden = mixed
        if self.kind == "checkpoint":
            hidden = checkpoint(self.norm, hidden, use_reentrant=False)
        output: Tensor = self.head(self.norm(hidden))
        return output


KINDS = ["gru", "rnn", "lstm", "item", "experts", "checkpoint", "buffer"]


@pytest.mark.parametrize("kind", KINDS)
def test_importances_are_those_of_the_definitions_and_it_is_said_once(kind: str) -> None:
    torch.manual_seed(0)
    model, inputs = Net(kind).double(), torch.randn(7, 6, 6, dtype=torch.float64)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = diagonal_fisher(model, inputs), output_sensitivity(model, inputs)
    assert float(model.calls) == 0
    for one, other in zip(found, (fisher(model, inputs), sensitivity(model, inputs)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)
    slow = [warning for warning in said if issubclass(warning.category, SlowImportance)]
    # torch.func runs an LSTM where torch has oneDNN's.
    assert len(slow) == 1 or (kind == "lstm" and not slow)
    assert all(
        "one sample at a time" in str(warning.message) and "`samples`" in str(warning.message) for warning in slow
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["ewc", "mas"])
@pytest.mark.filterwarnings("ignore::strategies.importance.one_by_one.SlowImportance")
def test_methods_learn_a_stream_with_such_a_model(name: str, kind: str) -> None:
    experiences, outputs = stream("class-incremental")
    torch.manual_seed(0)
    learner = Learner(Net(kind, outputs), [make_strategy(name)], outputs=outputs, seed=3)
    for experience in experiences[:2]:
        learner.learn(experience, TrainSettings(batch_size=10))
    assert any(name.startswith("importance") for name in learner.state_dict()[f"strategy.{name}"])


def test_an_error_of_the_model_itself_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shape"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diagonal_fisher(Net("gru"), torch.randn(2, 5, 7), targets=torch.tensor([0, 1]))
