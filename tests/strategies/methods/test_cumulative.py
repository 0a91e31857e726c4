"""Joint training on everything so far."""

import torch

from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.cumulative import Cumulative
from tests.strategies.models import build
from tests.strategies.streams import stream


def test_the_training_set_is_the_union_of_all_experiences_so_far() -> None:
    experiences, outputs = stream("class-incremental")
    cumulative = Cumulative()
    learner = Learner(build("mlp-float32", outputs), [cumulative], outputs=outputs)
    assert cumulative.training_set(learner, experiences[0]) is None
    learner.learn(experiences[0], TrainSettings(batch_size=12))
    next(learner.steps(experiences[1], TrainSettings(batch_size=12), past=experiences[:1]))
    samples = cumulative.training_set(learner, experiences[1])
    assert samples is not None
    assert samples.ids.tolist() == torch.cat([e.train.ids for e in experiences[:2]]).tolist()
    assert samples.targets.tolist() == torch.cat([e.train.targets for e in experiences[:2]]).tolist()


def test_an_epoch_passes_over_the_union_and_steps_stay_steps() -> None:
    experiences, outputs = stream("class-incremental")
    for settings, expected in (
        (TrainSettings(epochs=1, batch_size=5), [5, 10, 15]),
        (TrainSettings(epochs=None, steps=4, batch_size=5), [4, 4, 4]),
    ):
        learner = Learner(build("mlp-float32", outputs), [Cumulative()], outputs=outputs)
        counted = []
        for experience in experiences:
            counted.append(len(list(learner.steps(experience, settings, past=experiences[: experience.index]))))
            learner.consolidate()
        assert counted == expected


def test_what_came_first_is_not_forgotten() -> None:
    experiences, outputs = stream("class-incremental")
    right = {}
    for name, strategies in (("alone", []), ("joint", [Cumulative()])):
        learner = Learner(build("mlp-float32", outputs), strategies, outputs=outputs, seed=3)
        for experience in experiences:
            learner.learn(
                experience,
                TrainSettings(epochs=15, batch_size=12, optimizer_options={"lr": 0.01}),
                past=experiences[: experience.index],
            )
        right[name] = learner.evaluate(experiences[:1])[0].correct
    assert right["joint"] > 20 + right["alone"]
