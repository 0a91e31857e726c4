"""Every strategy learns the same with torch's three implementations of an optimiser.

The plain loop over the parameters is the reference: it never changes a gradient in place.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from strategies.registry import BUILT_IN
from tests.strategies.cases import QUICK, Case, Outcome, learn

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("sgd", {"lr": 0.1, "weight_decay": 0.01}),
    "nesterov": ("sgd", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": ("adam", {"lr": 0.02, "weight_decay": 0.01, "amsgrad": True}),
    "adamw": ("adamw", {"lr": 0.02, "weight_decay": 0.1}),
    "rmsprop": ("rmsprop", {"lr": 0.01, "momentum": 0.5, "centered": True, "weight_decay": 0.01}),
    "adagrad": ("adagrad", {"lr": 0.05, "weight_decay": 0.01}),
}
IMPLEMENTATIONS: dict[str, dict[str, Any]] = {
    "for-loop": {"foreach": False, "fused": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


@cache
def learned(strategy: str, optimizer: str, implementation: str) -> Outcome:
    name, options = OPTIMIZERS[optimizer]
    chosen = dict(IMPLEMENTATIONS[implementation])
    if name == "rmsprop":
        chosen.pop("fused", None)
    train = {"epochs": None, "steps": 4, "optimizer": name, "optimizer_options": {**options, **chosen}}
    return learn(Case(strategy, [(strategy, QUICK.get(strategy, {}))], train=train))


def moved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state without momentum that is 0: some implementations make it for parameters without gradients, too."""
    return {name: t for name, t in state.items() if not name.endswith("/momentum_buffer") or t.any()}


@pytest.mark.parametrize("strategy", BUILT_IN)
@pytest.mark.parametrize(
    ("optimizer", "implementation"),
    [(o, i) for o in OPTIMIZERS for i in ("foreach", "fused") if (o, i) != ("rmsprop", "fused")],
)
def test_implementations_of_an_optimizer_learn_the_same(strategy: str, optimizer: str, implementation: str) -> None:
    expected, got = learned(strategy, optimizer, "for-loop"), learned(strategy, optimizer, implementation)
    assert got.refusal == expected.refusal and got.counts == expected.counts
    torch.testing.assert_close(moved(got.state), moved(expected.state), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(got.memories, expected.memories, rtol=1e-6, atol=1e-7)
