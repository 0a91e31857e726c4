"""Expandable representations: when the network grows, and what learns then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.compatibility import Listed, warnings
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.expand import Expand, ExpandOptions
from strategies.methods.replay import Replay, ReplayOptions
from strategies.networks.feature_extractors import Extractors
from tests.strategies.models import build
from tests.strategies.streams import Step, stream

TRAIN = TrainSettings(epochs=4, batch_size=5, optimizer_options={"lr": 0.01})


def make(setting: str = "class-incremental", model: str = "mlp", **options: Any) -> tuple[Learner, list[Step]]:
    experiences, outputs = stream(setting)
    strategies = [Expand(ExpandOptions(**options)), Replay(ReplayOptions(capacity=30, ratio=0.5))]
    return Learner(build(model, outputs), strategies, outputs=outputs, seed=3), experiences


def network(learner: Learner) -> Extractors:
    assert isinstance(learner.model, Extractors)
    return learner.model


def learn(learner: Learner, experiences: Sequence[Step], settings: TrainSettings = TRAIN) -> None:
    for e in experiences:
        learner.learn(e, settings, past=experiences[: e.index])


def extractors(learner: Learner) -> list[dict[str, Tensor]]:
    return [{n: t.clone() for n, t in e.state_dict().items()} for e in network(learner).extractors]


def test_the_network_grows_when_the_model_cannot_tell_the_new_samples() -> None:
    learner, experiences = make(threshold=0.9)
    learn(learner, experiences)
    assert len(network(learner).extractors) == 3  # new classes are never answered right before they are learned


def test_it_does_not_grow_when_the_model_can() -> None:
    learner, experiences = make(threshold=0.5)
    known = experiences[0].train
    again = Step(1, known, experiences[0].test, (0, 1))
    learn(learner, experiences[:1])
    strategy = learner.strategies[0]
    assert isinstance(strategy, Expand)
    learner.samples = known
    right = (learner.model.eval()(learner.prepare(known.inputs)).argmax(1) == known.targets).double().mean()
    assert strategy.accuracy(learner, again) == pytest.approx(float(right)) and right > 0.5
    features = extractors(learner)[0]
    head = network(learner).heads[0].get_parameter("weight").detach().clone()
    learner.learn(again, TRAIN, past=experiences[:1])
    [still] = extractors(learner)
    assert all(torch.equal(still[name], tensor) for name, tensor in features.items())
    assert not torch.equal(network(learner).heads[0].get_parameter("weight"), head)
    assert not any(name.startswith("auxiliary") for name in learner.model.state_dict())


@pytest.mark.parametrize(("threshold", "extractors"), [(0.0, 1), (1.0, 3)])
def test_the_threshold_decides(threshold: float, extractors: int) -> None:
    learner, experiences = make("domain-incremental", threshold=threshold)
    learn(learner, experiences)
    assert len(network(learner).extractors) == extractors


def test_old_extractors_are_frozen_and_the_newest_learns() -> None:
    learner, experiences = make(model="batch-norm")
    learn(learner, experiences[:2])
    before = extractors(learner)
    steps = learner.steps(experiences[2], TRAIN, past=experiences[:2])
    next(steps)
    drawn = extractors(learner)[2]
    assert [e.training for e in network(learner).extractors] == [False, False, True]
    list(steps)
    after = extractors(learner)
    for old, new in zip(before, after, strict=False):
        assert all(torch.equal(new[name], tensor) for name, tensor in old.items())
    assert not torch.equal(after[2]["model.0.weight"], drawn["model.0.weight"])
    assert not torch.equal(drawn["model.0.weight"], before[0]["model.0.weight"])


def test_growing_alone_changes_no_answer() -> None:
    learner, experiences = make()
    learn(learner, experiences[:1])
    inputs = learner.prepare(experiences[0].test.inputs)
    before = learner.model.eval()(inputs)
    network(learner).grow(2, seed=1, who="expand")
    assert torch.equal(learner.model.eval()(inputs), before)


def test_the_head_goes_over_all_features() -> None:
    learner, experiences = make()
    learn(learner, experiences)
    inputs = learner.prepare(experiences[0].test.inputs)
    model = network(learner).eval()
    features = torch.cat([extractor(inputs) for extractor in model.extractors], 1)
    weight = torch.cat([head.get_parameter("weight") for head in model.heads], 1)
    torch.testing.assert_close(model(inputs), F.linear(features, weight, model.heads[0].get_parameter("bias")))
    assert features.shape[1] == 3 * 16 and all(head.get_parameter("weight").abs().max() > 0 for head in model.heads)


def test_the_auxiliary_classifier_tells_new_classes_from_everything_older() -> None:
    """After the experience's last step, its answers are right for the new classes and "older" for the replayed."""
    learner, experiences = make()
    learn(learner, experiences[:1])
    settings = TrainSettings(epochs=40, batch_size=5, optimizer_options={"lr": 0.01})
    for _ in learner.steps(experiences[1], settings, past=experiences[:1]):
        pass
    model = network(learner).eval()
    assert model.auxiliary is not None and model.auxiliary.weight.shape == (3, 16)
    for number, expected in ((1, experiences[1].train.targets - 2), (0, torch.full((25,), 2))):
        features = model.extractors[1](learner.prepare(experiences[number].train.inputs))
        assert (model.auxiliary(features).argmax(1) == expected).double().mean() > 0.8
    learner.consolidate()
    assert network(learner).auxiliary is None


def test_the_auxiliary_loss_has_its_weight() -> None:
    results = []
    for weight in (0.0, 1.0):
        learner, experiences = make(auxiliary=weight)
        learn(learner, experiences[:2])
        results.append(extractors(learner)[1]["model.1.weight"])
    assert not torch.equal(*results)


def test_with_replay_it_learns_new_classes_and_keeps_the_old() -> None:
    learner, experiences = make()
    learn(learner, experiences, TrainSettings(epochs=12, batch_size=5, optimizer_options={"lr": 0.01}))
    assert sum(count.correct for count in learner.evaluate(experiences)) > 60  # of 120; naive learning: 40


def test_models_without_a_linear_head_are_refused() -> None:
    experiences, _ = stream("class-incremental")
    learner = Learner(nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.Tanh()), [Expand()], outputs=6)
    with pytest.raises(StrategyError, match=r"expand .* must end in a torch.nn.Linear"):
        learner.learn(experiences[0], TRAIN)


def test_it_asks_for_replay() -> None:
    ((problem,),) = warnings([Listed(Expand)], "class-incremental")
    assert "add {name: replay}" in problem
    assert warnings([Listed(Expand), Listed(Replay)], "class-incremental") == [[], []]
