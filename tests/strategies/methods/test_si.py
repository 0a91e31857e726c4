"""SI against its equations, written out step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from strategies.loop.learner import Learner
from strategies.loop.sampling import SampleOrder
from strategies.loop.train_settings import TrainSettings
from strategies.methods.ewc import EWC, EWCOptions
from strategies.methods.si import SI, SIOptions
from tests.strategies.models import build
from tests.strategies.streams import stream

LEARNING_RATE, STEPS, BATCH, C, XI = 0.05, 6, 12, 3.0, 0.1
SETTINGS = TrainSettings(
    epochs=None, steps=STEPS, batch_size=BATCH, optimizer="sgd", optimizer_options={"lr": LEARNING_RATE}
)


def test_importance_and_penalty_are_those_of_the_paper() -> None:
    experiences, outputs = stream("class-incremental")
    si = SI(SIOptions(c=C, xi=XI))
    learner = Learner(build("mlp", outputs), [si], outputs=outputs, seed=3)
    for experience in experiences[:2]:
        learner.learn(experience, SETTINGS)

    model = build("mlp", outputs)
    theta = [p.detach().clone() for p in model.parameters()]
    omega = [torch.zeros_like(t) for t in theta]
    anchor = [t.clone() for t in theta]
    for experience in experiences[:2]:
        start = [t.clone() for t in theta]
        path = [torch.zeros_like(t) for t in theta]
        order = SampleOrder(len(experience.train), BATCH, None, STEPS, 3, experience.index)
        for step in range(STEPS):
            inputs, targets = experience.train.take(order.batch(step))
            with torch.no_grad():
                for p, t in zip(model.parameters(), theta, strict=True):
                    p.copy_(t)
            loss = F.cross_entropy(model(inputs.float() / 255).float(), targets)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            for i, g in enumerate(gradients):
                change = -LEARNING_RATE * (g + 2 * C * omega[i] * (theta[i] - anchor[i]))
                theta[i] = theta[i] + change
                path[i] -= g * change
        for i, w in enumerate(path):
            omega[i] = omega[i] + w.clamp(min=0) / ((theta[i] - start[i]) ** 2 + XI)
        anchor = [t.clone() for t in theta]

    for i, (name, p) in enumerate(learner.model.named_parameters()):
        torch.testing.assert_close(p.detach(), theta[i], rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(si.penalty.importance[name], omega[i], rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(si.penalty.anchor[name], theta[i], rtol=1e-6, atol=1e-8)


def test_clipping_and_later_penalties_are_no_part_of_the_path() -> None:
    experiences, outputs = stream("class-incremental")
    paths = []
    for later in ([], [EWC(EWCOptions(lambda_=50))]):
        si = SI()
        learner = Learner(build("mlp", outputs), [si, *later], outputs=outputs)
        learner.learn(experiences[0], SETTINGS)
        steps = learner.steps(experiences[1], TrainSettings(**{**vars(SETTINGS), "clip": 1e-9}))
        next(steps)
        paths.append(si.path["model.3.weight"])
        change = learner.model.get_parameter("model.3.weight") - si.penalty.anchor["model.3.weight"]
        assert change.norm() <= LEARNING_RATE * 1e-9 * 1.01
        assert paths[-1].abs().sum() > change.abs().max() * 1e-3, "the gradient in the path is not the clipped one"
        steps.close()


def test_nothing_but_importance_and_anchor_is_stored_between_experiences() -> None:
    experiences, outputs = stream("domain-incremental")
    si = SI()
    learner = Learner(build("mlp", outputs), [si], outputs=outputs)
    steps = learner.steps(experiences[0], SETTINGS)
    next(steps)
    assert {name.partition(".")[0] for name in si.state_dict()} == {"path", "anchor"}
    list(steps)
    learner.consolidate()
    assert {name.partition(".")[0] for name in si.state_dict()} == {"importance", "anchor"}


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.1}),
    ("adam", {"amsgrad": True}),
    ("adamw", {"maximize": True}),
    ("rmsprop", {"centered": True, "momentum": 0.5}),
    ("adagrad", {"weight_decay": 0.1}),
]


@pytest.mark.parametrize(("name", "options"), KINDS, ids=str)
@pytest.mark.parametrize("implementation", [{"foreach": True}, {"fused": True}])
def test_no_implementation_of_an_optimiser_changes_what_is_important(
    name: str, options: dict[str, Any], implementation: dict[str, bool]
) -> None:
    """The reference is torch's loop over the parameters, which leaves gradients alone."""
    if name == "rmsprop":
        implementation = {"foreach": True}
    found = []
    for more in ({"foreach": False} | ({} if name == "rmsprop" else {"fused": False}), implementation):
        experiences, outputs = stream("class-incremental")
        learner = Learner(build("mlp", outputs), [SI(SIOptions(c=C, xi=XI))], outputs=outputs, seed=3)
        for experience in experiences:
            learner.learn(experience, TrainSettings(None, STEPS, BATCH, name, {"lr": 0.01, **options, **more}))
        found.append(learner.state_dict())
    for part in ("model", "strategy.si"):
        torch.testing.assert_close(found[1][part], found[0][part], rtol=1e-5, atol=1e-7)
