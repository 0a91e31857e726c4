"""What the methods with a memory have in common."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.memory.rehearsal import MemoryOptions, Rehearsal
from tests.strategies.models import build
from tests.strategies.streams import stream

TRAIN = TrainSettings(epochs=1, batch_size=6)


class Keeps(Rehearsal):
    """Keeps samples, and with each the sum of its input."""

    name = "keeps"

    def annotations(self, learner: Learner, inputs: Tensor) -> dict[str, Tensor]:
        return {"sums": inputs.flatten(1).sum(1)}


class Bounded(Keeps):
    """Asks where an experience ends."""

    @property
    def needs_boundaries(self) -> bool:
        return True


def learner(strategy: Rehearsal, *, online: bool = False, seed: int = 3) -> Learner:
    _, outputs = stream("class-incremental")
    return Learner(build("mlp-float32", outputs), [strategy], outputs=outputs, seed=seed, online=online)


def ids(strategy: Rehearsal, made: Learner) -> list[int]:
    return sorted(strategy.memory(made).tensors["ids"].tolist())


def learned(strategy: Rehearsal, *, online: bool = False, seed: int = 3) -> Learner:
    experiences, _ = stream("class-incremental")
    made = learner(strategy, online=online, seed=seed)
    for experience in experiences:
        made.learn(experience, TRAIN, past=experiences[: experience.index])
    return made


def test_the_memory_is_filled_at_the_end_of_each_experience_with_what_goes_with_a_sample() -> None:
    keeps = Keeps(MemoryOptions(capacity=30))
    made = learned(keeps)
    held = keeps.memory(made).tensors
    assert len(held["ids"]) == 30 and set(held["experiences"].tolist()) == {0, 1, 2}
    assert torch.equal(held["sums"], held["inputs"].flatten(1).sum(1))
    assert keeps.memories(made) == {"keeps": keeps.memory(made)}


def test_the_seed_of_the_run_decides_what_is_kept() -> None:
    kept = []
    for seed in (3, 3, 4):
        keeps = Keeps(MemoryOptions(capacity=20))
        kept.append(ids(keeps, learned(keeps, seed=seed)))
    assert kept[0] == kept[1] != kept[2]


def test_in_an_online_stream_samples_compete_as_they_pass_and_the_end_is_the_same() -> None:
    experiences, _ = stream("class-incremental")
    keeps, bounded, whole = (kind(MemoryOptions(capacity=20)) for kind in (Keeps, Bounded, Keeps))
    sizes = {}
    for strategy in (keeps, bounded):
        made = learner(strategy, online=True)
        steps = made.steps(experiences[0], TRAIN)
        next(steps)
        next(steps)
        sizes[type(strategy)] = len(strategy.memory(made))
    assert sizes[Keeps] > 0 and sizes[Bounded] == 0
    passed = Keeps(MemoryOptions(capacity=20))
    assert ids(whole, learned(whole)) == ids(passed, learned(passed, online=True))


def test_a_second_time_changes_nothing_and_a_smaller_capacity_is_kept() -> None:
    keeps = Keeps(MemoryOptions(capacity=20))
    made, (first, *_) = learner(keeps), stream("class-incremental")[0]
    for _ in made.steps(first, TRAIN):
        pass
    keeps.remember(made, first)
    before = ids(keeps, made)
    keeps.remember(made, first)
    assert len(before) == 20 and ids(keeps, made) == before
    keeps.options = MemoryOptions(capacity=7)
    assert keeps.memory(made).capacity == 7


def test_a_bound_for_each_class_is_for_a_balanced_memory() -> None:
    assert MemoryOptions(policy="class-balanced", per_class=3).per_class == 3
    with pytest.raises(ValidationError, match="policy: class-balanced"):
        MemoryOptions(per_class=3)
    for wrong in ({"capacity": 0}, {"policy": "newest"}, {"policy": "class-balanced", "per_class": 0}):
        with pytest.raises(ValidationError):
            MemoryOptions(**wrong)
    keeps = Keeps(MemoryOptions(capacity=100, policy="class-balanced", per_class=4))
    targets = keeps.memory(learned(keeps)).tensors["targets"]
    assert targets.unique(return_counts=True)[1].tolist() == [4] * 6
