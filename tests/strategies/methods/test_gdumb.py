"""GDumb trains on its memory alone, from the untrained model."""

from __future__ import annotations

import torch

from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.gdumb import GDumb, GDumbOptions
from strategies.methods.naive import Naive
from tests.strategies.models import build
from tests.strategies.streams import Rows, Step, stream

TRAIN = TrainSettings(epochs=4, batch_size=5, optimizer_options={"lr": 0.02})


def test_it_is_naive_training_on_the_memory_from_scratch() -> None:
    experiences, outputs = stream("class-incremental")
    gdumb = GDumb(GDumbOptions(capacity=16))
    learner = Learner(build("mlp", outputs), [gdumb], outputs=outputs, seed=3)
    for experience in experiences:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
    held = gdumb.memory(learner).tensors

    rows = Rows(held["inputs"], held["targets"], held["ids"])
    alone = Learner(build("mlp", outputs), [Naive()], outputs=outputs, seed=3)
    alone.learn(Step(2, rows, rows, tuple(range(6))), TRAIN)
    for name, tensor in alone.model.state_dict().items():
        assert torch.equal(learner.model.state_dict()[name], tensor)


def test_the_memory_is_balanced_over_the_classes() -> None:
    experiences, outputs = stream("class-incremental")
    gdumb = GDumb(GDumbOptions(capacity=16))
    learner = Learner(build("mlp", outputs), [gdumb], outputs=outputs)
    for experience in experiences:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
        counts = gdumb.memory(learner).tensors["targets"].bincount()
        assert counts.sum() == 16
        assert counts.max() - counts.min() <= 1


def test_old_tasks_answer_with_their_own_units() -> None:
    experiences, outputs = stream("task-incremental")
    learner = Learner(build("mlp", outputs), [GDumb(GDumbOptions(capacity=60))], outputs=outputs)
    for experience in experiences:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
    assert min(count.correct / count.total for count in learner.evaluate(experiences)) > 0.8
