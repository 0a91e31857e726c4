"""The penalty towards the model as the stream found it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from strategies.loop.learner import Learner
from strategies.methods.kl_to_base import KLToBase
from tests.strategies.cases import Case
from tests.strategies.models import build
from tests.strategies.streams import stream


def learned(*strategies: tuple[str, dict[str, Any]]) -> Learner:
    case = Case("kl", strategies)
    steps, outputs = stream(case.setting)
    learner = case.learner(outputs)
    learner.learn(steps[0], case.settings)
    return learner


@pytest.mark.parametrize("others", [[], [("lora", {"rank": 2})]], ids=["all-weights", "lora"])
def test_the_term_is_the_mean_distance_from_the_untouched_model(others: list[tuple[str, dict[str, Any]]]) -> None:
    learner = learned(*others, ("kl-to-base", {"weight": 0.5, "temperature": 2.0}))
    steps, outputs = stream("class-incremental")
    learner.experience = steps[0]
    inputs = learner.prepare(steps[0].train.inputs)
    base, output = build("mlp", outputs)(inputs).float(), learner.model(inputs).float()

    class Batch:
        total_samples = 50

        def __len__(self) -> int:
            return len(inputs)

    batch: Any = Batch()
    batch.inputs = inputs
    found = learner.strategies[-1].loss_term(learner, batch, output)
    expected = 0.5 * learner.objective.distance(output, base, 2.0).sum() / 50
    torch.testing.assert_close(found, expected)
    assert isinstance(learner.strategies[-1], KLToBase)
    kept = {name.removeprefix("base.") for name in learner.strategies[-1].state_dict()}
    assert kept == ({"model.3.weight", "model.3.bias"} if others else set(build("mlp", outputs).state_dict()))


def test_a_large_weight_keeps_the_model_close() -> None:
    steps, outputs = stream("class-incremental")
    distances = []
    for weight in (0.0, 100.0):
        learner = learned(("kl-to-base", {"weight": weight}))
        inputs = learner.prepare(steps[0].test.inputs)
        with torch.no_grad():
            distances.append(float((learner.model(inputs) - build("mlp", outputs)(inputs)).square().mean()))
    assert distances[1] < distances[0] / 10
