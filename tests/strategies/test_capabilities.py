"""What the registered strategies declare of themselves is what they do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from strategies.api.compatibility import limits
from strategies.api.data import Batch, Experience
from strategies.api.guide import NEEDS, ONLINE, SETTINGS, needs
from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.registry import BUILT_IN
from tests.strategies.cases import make_strategy
from tests.strategies.models import build
from tests.strategies.streams import Step, stream

TRAIN = TrainSettings(epochs=1, batch_size=12, optimizer_options={"lr": 0.04})
SETTING = "domain-incremental"  # in which all of them work


class Watch(Strategy):
    """Keeps what passes in the second experience."""

    def __init__(self) -> None:
        super().__init__()
        self.old: list[int] = []
        self.invented = False
        self.start: dict[str, Tensor] = {}

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        self.start = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        index = learner.experience.index
        self.old += batch.experiences[batch.experiences < index].tolist()
        if index and len(batch) > batch.current:
            known = torch.cat([learner.prepare(e.train.take(torch.arange(len(e.train)))[0]) for e in learner.past])
            added = batch.inputs[batch.current :]
            self.invented |= not all(bool((row == known).flatten(1).all(1).any()) for row in added)
        return None


class Old:
    """An experience of the past, and whether anyone has asked for its data."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.asked = False

    def __getattr__(self, name: str) -> Any:
        self.asked |= name == "train"
        return getattr(self.step, name)


def learned(name: str) -> tuple[Learner, Strategy, Watch, list[Step]]:
    """Two experiences."""
    steps, outputs = stream(SETTING)
    strategy, watch = make_strategy(name), Watch()
    learner = Learner(build("mlp", outputs), [strategy], outputs=outputs, seed=3)
    learner.strategies.append(watch)  # what trains nothing is refused beside others
    for step in steps[:2]:
        learner.learn(step, TRAIN, past=steps[: step.index])
    return learner, strategy, watch, steps


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_past_takes_part_in_training_if_it_rehearses(name: str) -> None:
    learner, strategy, watch, _ = learned(name)
    kind = type(strategy)
    assert kind.keeps_samples == bool(strategy.memories(learner))
    assert kind.generates_samples == watch.invented
    # A projection takes its part in the gradients, not in the batches.
    assert kind.rehearses == (bool(watch.old) or kind.projects_gradients)


@pytest.mark.parametrize("name", BUILT_IN)
def test_old_data_are_asked_for_if_they_are_needed(name: str) -> None:
    steps, outputs = stream(SETTING)
    strategy = make_strategy(name)
    learner = Learner(build("mlp", outputs), [strategy], outputs=outputs, seed=3)
    learner.learn(steps[0], TRAIN)
    old = Old(steps[0])
    learner.learn(steps[1], TRAIN, past=[old])
    assert type(strategy).needs_old_data == old.asked


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_model_is_untrained_when_an_experience_begins_if_it_starts_afresh(name: str) -> None:
    learner, strategy, watch, steps = learned(name)
    untrained = build("mlp", learner.outputs).state_dict()
    same = watch.start.keys() == untrained.keys() and all(
        torch.equal(tensor, untrained[key]) for key, tensor in watch.start.items()
    )
    assert (type(strategy).starts_afresh or type(strategy).trains_nothing) == same
    assert len(steps) > 2


@pytest.mark.parametrize("name", BUILT_IN)
def test_answers_to_earlier_experiences_stay_if_it_freezes_them(name: str) -> None:
    steps, outputs = stream("task-incremental")
    strategy = make_strategy(name, {})  # tasks are given, not inferred
    learner = Learner(build("mlp", outputs), [strategy], outputs=outputs, seed=3)
    inputs = learner.prepare(steps[0].test.inputs)

    def answers() -> Tensor:
        with learner.evaluating(), torch.no_grad():
            return learner.scores(inputs, steps[0])[:, list(steps[0].outputs or ())]

    learner.learn(steps[0], TRAIN)
    before = answers()
    learner.learn(steps[1], TRAIN, past=steps[:1])
    kind = type(strategy)
    assert kind.freezes_answers == torch.equal(answers(), before)
    assert (kind.freezes_features or kind.adapts_model) == (kind.restructure is not Strategy.restructure)
    assert kind.needs_task_labels == (strategy.task_labels(steps[0]) is not None)


@pytest.mark.parametrize("name", BUILT_IN)
def test_needs_and_limits_are_reported_in_words(name: str) -> None:
    kind = type(make_strategy(name))
    assert set(needs(kind)) <= set(NEEDS)
    assert ("memory" in needs(kind)) == kind.keeps_samples
    assert set(kind.limits) <= {*SETTINGS, ONLINE}
    for text in limits(kind).values():
        assert any(f": {word} " in text for word in ("add", "use", "set", "leave")), text
        assert not text.endswith(".")
    for limit in kind.limits.values():
        assert set(limit.only_with) <= set(kind.Options.model_fields)
        assert not limit.lifted_by or isinstance(getattr(Strategy, limit.lifted_by), bool)
    # A loss of its own is where it replaces the loss.
    assert not kind.trains_other_loss or kind.training_loss is not Strategy.training_loss
