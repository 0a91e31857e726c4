"""MAS against a loop over samples."""

from __future__ import annotations

import pytest
import torch

from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.mas import MAS, MASOptions, output_sensitivity
from tests.strategies.models import build
from tests.strategies.streams import images, stream


@pytest.mark.parametrize("model_name", ["mlp", "conv", "shared"])
@pytest.mark.parametrize("units", [None, torch.tensor([1, 3])])
def test_sensitivity_is_the_sum_of_absolute_per_sample_gradients(model_name: str, units: torch.Tensor | None) -> None:
    model = build(model_name, 6)
    inputs = images(torch.arange(7), seed=4).float() / 255
    found = output_sensitivity(model, inputs, units)
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for x in inputs:
        output = model(x[None])[0]
        norm = (output if units is None else output[units]).square().sum()
        for (name, _), g in zip(
            model.named_parameters(), torch.autograd.grad(norm, list(model.parameters())), strict=True
        ):
            expected[name] += g.abs()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_importances_of_the_experiences_add_up_around_the_latest_parameters() -> None:
    experiences, outputs = stream("task-incremental")
    mas = MAS(MASOptions(lambda_=0.0))
    learner = Learner(build("mlp", outputs), [mas], outputs=outputs)
    settings = TrainSettings(epochs=1, batch_size=12)
    expected: dict[str, torch.Tensor] = {}
    for experience in experiences:
        learner.learn(experience, settings, past=experiences[: experience.index])
        part = output_sensitivity(
            learner.model, experience.train.inputs.float() / 255, torch.tensor(list(experience.outputs or ()))
        )
        expected = {n: t / len(experience.train) + expected.get(n, torch.zeros_like(t)) for n, t in part.items()}
    torch.testing.assert_close(mas.penalty.importance, expected, rtol=1e-6, atol=1e-9)
    for name, p in learner.model.named_parameters():
        assert torch.equal(mas.penalty.anchor[name], p)


def test_the_penalty_has_no_half() -> None:
    experiences, outputs = stream("class-incremental")
    mas = MAS(MASOptions(lambda_=2.5))
    learner = Learner(build("mlp", outputs), [mas], outputs=outputs)
    learner.learn(experiences[0], TrainSettings(epochs=1, batch_size=12))
    with torch.no_grad():
        for p in learner.model.parameters():
            p += 0.1
    learner.model.zero_grad(set_to_none=True)
    mas.after_backward(learner)
    for name, p in learner.model.named_parameters():
        expected = 2 * 2.5 * mas.penalty.importance[name] * (p - mas.penalty.anchor[name])
        torch.testing.assert_close(p.grad, expected.detach())
