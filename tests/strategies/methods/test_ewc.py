"""EWC as a learner runs it, against the sum over experiences of Kirkpatrick et al. 2017, equation 3, written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from strategies.api.compatibility import Listed, warnings
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import generator
from strategies.loop.train_settings import TrainSettings
from strategies.methods.ewc import EWC, EWCOptions
from strategies.methods.naive import Naive
from strategies.methods.replay import Replay
from tests.strategies import definitions
from tests.strategies.definitions import Named, penalty_gradient
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, Step, stream

TRAIN = TrainSettings(batch_size=10, optimizer_options={"lr": 0.02})


def learned(setting: str, model: str = "mlp", **options: Any) -> tuple[Learner, EWC, list[tuple[Named, Named]]]:
    """A learner after all experiences, with each one's Fisher information, by its definition, and parameters."""
    experiences, outputs = stream(setting)
    ewc = EWC(EWCOptions(**options))
    learner = Learner(build(model, outputs), [ewc], outputs=outputs, seed=3)
    history = []
    for experience in experiences:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
        theta = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
        history.append((mean_fisher(learner, experience, ewc.options), theta))
    return learner, ewc, history


def mean_fisher(learner: Learner, experience: Step, options: EWCOptions) -> Named:
    train = experience.train
    n = min(options.samples or len(train), len(train))
    chosen = torch.from_numpy(generator(3, "fisher", experience.index).permutation(len(train))[:n])
    targets = train.targets[chosen] if options.estimate == "empirical" else None
    units = None if experience.outputs is None else torch.tensor(experience.outputs)
    inputs = train.inputs[chosen].float() / 255
    return {k: v / n for k, v in definitions.fisher(learner.model, inputs, targets=targets, units=units).items()}


def pull(learner: Learner, ewc: EWC) -> Named:
    """The penalty's gradient a little away from the last anchor."""
    with torch.no_grad():
        for p in learner.model.parameters():
            p += 0.01 * torch.sin(torch.arange(p.numel()).double().view(p.shape))
    learner.model.zero_grad()
    ewc.after_backward(learner)
    return {name: p.grad for name, p in learner.model.named_parameters() if p.grad is not None}


def assert_pulls(learner: Learner, ewc: EWC, anchors: list[tuple[float, Named, Named]]) -> None:
    found = pull(learner, ewc)
    _, expected = penalty_gradient(dict(learner.model.named_parameters()), anchors)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert max(g.abs().max() for g in found.values()) > 1e-3


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("options", [{}, {"estimate": "empirical"}, {"samples": 7}, {"samples": 1000}], ids=str)
def test_the_gradient_is_that_of_the_sum_over_experiences(setting: str, options: dict[str, Any]) -> None:
    learner, ewc, history = learned(setting, **options, **{"lambda": 30.0})
    assert_pulls(learner, ewc, [(30.0 / 2, *anchor) for anchor in history])


def test_a_model_without_closed_form() -> None:
    learner, ewc, history = learned("task-incremental", "shared", **{"lambda": 30.0})
    assert_pulls(learner, ewc, [(30.0 / 2, *anchor) for anchor in history])


def test_online_keeps_one_anchor_and_lets_importance_fade() -> None:
    learner, ewc, history = learned("domain-incremental", mode="online", gamma=0.6, **{"lambda": 30.0})
    latest = history[-1][1]
    assert_pulls(learner, ewc, [(15 * 0.6 ** (2 - k), fisher, latest) for k, (fisher, _) in enumerate(history)])


def test_the_first_experience_is_as_without_it() -> None:
    experiences, outputs = stream("class-incremental")
    models = []
    for strategies in ([], [EWC(EWCOptions(**{"lambda": 1e6}))]):
        learner = Learner(build("mlp", outputs), strategies, outputs=outputs, seed=3)
        learner.learn(experiences[0], TRAIN)
        models.append(dict(learner.model.state_dict()))
    torch.testing.assert_close(models[1], models[0], rtol=0, atol=0)


def test_a_strong_penalty_holds_what_matters() -> None:
    experiences, outputs = stream("domain-incremental", train=60)
    settings = TrainSettings(epochs=6, batch_size=10, optimizer_options={"lr": 0.01})
    first = {}
    for strength in (0.0, 1e4):
        learner = Learner(build("mlp", outputs), [EWC(EWCOptions(**{"lambda": strength}))], outputs=outputs, seed=3)
        for experience in experiences:
            learner.learn(experience, settings)
        first[strength] = learner.evaluate(experiences[:1])[0].correct
    assert first[1e4] >= first[0.0] + 5


def test_state_is_two_tensors_a_parameter_and_goes_round() -> None:
    learner, ewc, _ = learned("class-incremental")
    state = ewc.state_dict()
    assert len(state) == 2 * len(list(learner.model.parameters()))
    assert {name.partition(".")[0] for name in state} == set(EWC.reductions) - {"window"}
    other = EWC()
    other.load_state_dict(state)
    torch.testing.assert_close(other.state_dict(), state, rtol=0, atol=0)


def test_options() -> None:
    assert EWCOptions(**{"lambda": 5}).lambda_ == EWCOptions(lambda_=5).lambda_ == 5.0
    for wrong in ({"lambda": -1}, {"samples": 0}, {"gamma": 1.5}, {"mode": "offline"}, {"lamda": 1}):
        with pytest.raises(ValidationError):
            EWCOptions(**wrong)


def test_it_warns_of_a_shared_head_with_a_remedy() -> None:
    ((problem,), _) = warnings([Listed(EWC), Listed(Naive)], "class-incremental")
    assert "replay" in problem
    assert "task-incremental" in problem
    assert warnings([Listed(EWC), Listed(Replay)], "class-incremental") == [[], []]
    assert warnings([Listed(EWC)], "domain-incremental") == [[]]
