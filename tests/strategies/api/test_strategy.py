"""How to add a strategy: one short class is enough for everything that a built-in one can do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest
import torch
from pydantic import Field
from torch import Tensor

from strategies.api.data import Experience
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from strategies.methods.replay import Replay, ReplayOptions
from tests.processes import Processes
from tests.strategies.models import build
from tests.strategies.streams import stream


class StayOptions(StrategyOptions):
    strength: float = Field(default=1.0, ge=0, json_schema_extra={"since": 1})


class Stay(Strategy):
    """Pull every parameter back to where the last experience left it (L2 transfer)."""

    family = "regularisation"
    Options = StayOptions

    def __init__(self, options: StayOptions | None = None) -> None:
        super().__init__(options)
        self.anchor: dict[str, Tensor] = {}

    def after_backward(self, learner: Learner) -> None:
        for name, parameter in learner.model.named_parameters():
            if name in self.anchor:
                parameter.grad += self.options.strength * (parameter.detach() - self.anchor[name])

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        self.anchor = {name: p.detach().clone() for name, p in learner.model.named_parameters()}

    def state_dict(self) -> dict[str, Tensor]:
        return self.anchor

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.anchor = dict(state)


SETTINGS = TrainSettings(epochs=3, batch_size=10, optimizer_options={"lr": 0.02})


def learner(strength: float, group: Group | None = None) -> Learner:
    strategies = [Stay(StayOptions(strength=strength)), Replay(ReplayOptions(capacity=6, ratio=0.1))]
    return Learner(build("mlp", 3), strategies, outputs=3, seed=1, group=group)


def learn(strength: float, group: Group | None = None) -> Learner:
    made = learner(strength, group)
    experiences, _ = stream("domain-incremental")
    for e in experiences:
        made.learn(e, SETTINGS, past=experiences[: e.index])
    return made


def moved(made: Learner) -> float:
    """How far the last experience moved the parameters away from the first one's."""
    first = learner(0.0)
    first.learn(stream("domain-incremental")[0][0], SETTINGS)
    start = dict(first.model.named_parameters())
    return sum(float((p - start[name]).detach().square().sum()) for name, p in made.model.named_parameters())


def test_it_has_an_effect_and_options() -> None:
    free, held, stuck = (moved(learn(strength)) for strength in (0.0, 0.5, 100.0))
    assert stuck < held < free


def learned_here() -> dict[str, Tensor]:
    return {name: p.detach() for name, p in learn(0.5, Group.current()).model.named_parameters()}


def test_it_obeys_the_law_of_the_global_batch(processes: Callable[[int], Processes]) -> None:
    alone = {name: p.detach() for name, p in learn(0.5).model.named_parameters()}
    for found in processes(2).run(learned_here):
        torch.testing.assert_close(found, alone, rtol=1e-6, atol=1e-7)


def test_it_continues_exactly() -> None:
    experiences, _ = stream("domain-incremental")
    whole, first, second = learn(0.5), learner(0.5), learner(0.5)
    for e in experiences[:2]:
        first.learn(e, SETTINGS, past=experiences[: e.index])
    second.load_state_dict(first.state_dict(), optimizer="adam")
    stored = first.strategies[1].memories(first)
    for name, memory in second.strategies[1].memories(second).items():
        memory.restore(stored[name].shards())
    second.learn(experiences[2], SETTINGS, past=experiences[:2])
    for group, tensors in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[group], tensors, rtol=0, atol=0)
    assert "strategy.stay" in whole.state_dict()


def test_what_a_class_does_not_say_has_a_default() -> None:
    assert Stay.name == "stay"
    assert Stay.summary == "Pull every parameter back to where the last experience left it (L2 transfer)."
    assert Stay().options == StayOptions(strength=1.0)

    class Silent(Strategy):
        pass

    assert (Silent.name, Silent.family, Silent.summary, Silent.paper) == ("silent", "custom", "", "")
    silent = Silent()
    assert silent.state_dict() == {} == silent.memories(learner(0.0))
    assert Silent.problems(silent.options, setting="class-incremental", others=[]) == []


def test_every_class_attribute_is_explained() -> None:
    explained = re.findall(r"^        (\w+): ", Strategy.__doc__ or "", flags=re.MULTILINE)
    assert explained == list(Strategy.__annotations__)


def test_options_cannot_be_changed_or_misspelt() -> None:
    with pytest.raises(ValueError, match="frozen"):
        StayOptions().strength = 2.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="strenght"):
        StayOptions(strenght=2.0)  # type: ignore[call-arg]
