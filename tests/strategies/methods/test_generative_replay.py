"""Generative replay: what is generated, how it is labelled and weighted, what is kept and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from strategies.api.data import Batch
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.distillation.teacher import Teacher
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.generative_replay import GenerativeReplay, GenerativeReplayOptions
from strategies.methods.naive import Naive
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, SHAPE, Step, stream

SMALL: dict[str, Any] = {"hidden": (12,), "latent": 3, "lr": 0.01}
TRAIN = TrainSettings(epochs=4, batch_size=10, optimizer_options={"lr": 0.02})


class Watch(Strategy):
    """Keeps the batches of the experience."""

    def before_experience(self, learner: Learner, experience: object) -> None:
        self.batches: list[Batch] = []

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        self.batches.append(batch)
        return batch


def learned(setting: str, experiences: int, **options: Any) -> tuple[GenerativeReplay, Watch, Teacher]:
    """After so many experiences, with the batches of the last one and the model as it was before it."""
    steps, outputs = stream(setting)
    dgr, watch, before = GenerativeReplay(GenerativeReplayOptions(**SMALL | options)), Watch(), Teacher()
    learner = Learner(build("mlp", outputs), [dgr, watch], outputs=outputs, seed=3)
    for step in steps[:experiences]:
        before.take(learner.model)
        learner.learn(step, TRAIN, past=steps[: step.index])
    return dgr, watch, before


def test_there_is_nothing_to_replay_at_first() -> None:
    _, watch, _ = learned("class-incremental", 1)
    assert all(len(batch) == batch.current for batch in watch.batches)


@pytest.mark.parametrize("setting", SETTINGS)
def test_generated_samples_join_the_batch_with_the_previous_models_labels(setting: str) -> None:
    steps, outputs = stream(setting)
    _, watch, before = learned(setting, 3, ratio=0.6)
    learner = Learner(build("mlp", outputs), [], outputs=outputs)
    for batch in watch.batches:
        generated = batch.inputs[batch.current :]
        assert len(generated) == round(batch.current * 1.5)
        assert generated.shape[1:] == SHAPE
        assert 0 <= generated.min() <= generated.max() <= 1
        assert batch.experiences[batch.current :].tolist() == [i % 2 for i in range(len(generated))]
        said = before(learner, generated)
        past = zip(batch.experiences[batch.current :], said, batch.targets[batch.current :], strict=True)
        for experience, answer, label in past:
            units = torch.tensor(steps[experience].outputs or range(outputs))
            assert label == units[answer[units].argmax()]
    assert not torch.equal(watch.batches[0].inputs[-1], watch.batches[1].inputs[-1]), "each step has its own"


def test_current_and_past_are_weighted_by_the_experiences() -> None:
    _, watch, _ = learned("class-incremental", 3)
    for batch in watch.batches:
        assert batch.weights is not None
        assert batch.total_weight == 1.0
        torch.testing.assert_close(float(batch.weights[: batch.current].sum()), 1 / 3)
        torch.testing.assert_close(float(batch.weights[batch.current :].sum()), 2 / 3)
    _, watch, _ = learned("class-incremental", 2, weighting="samples")
    assert all(batch.weights is None and batch.total_weight == len(batch) for batch in watch.batches)


def test_the_past_is_remembered_without_its_data() -> None:
    steps, outputs = stream("class-incremental", experiences=2, train=100)
    right = []
    for strategy in (Naive(), GenerativeReplay(GenerativeReplayOptions(**SMALL | {"hidden": (64,), "latent": 8}))):
        learner = Learner(build("mlp", outputs), [strategy], outputs=outputs, seed=3)
        for step in steps:
            learner.learn(step, replace(TRAIN, epochs=20), past=steps[: step.index])
        assert not learner.memories()
        right.append(learner.evaluate(steps)[0].correct)
    assert right[1] > right[0] + 20, "of 40"


def test_only_the_generator_is_kept_between_experiences() -> None:
    steps, outputs = stream("class-incremental")
    dgr = GenerativeReplay(GenerativeReplayOptions(**SMALL))
    learner = Learner(build("mlp", outputs), [dgr], outputs=outputs, seed=3)

    def kept() -> set[str]:
        return {name.partition(".")[0] for name in dgr.state_dict()}

    learner.learn(steps[0], TRAIN)
    assert kept() == {"vae", "adam"}
    next(learner.steps(steps[1], TRAIN, past=steps[:1]))
    assert kept() == {"vae", "adam", "decoder", "teacher"} == set(dgr.reductions)
    learner.consolidate()
    assert kept() == {"vae", "adam"}


def scaled(step: Step, factor: float) -> Step:
    def part(inputs: Tensor) -> Tensor:
        return inputs.float() / 255 * factor

    return replace(step, train=replace(step.train, inputs=part(step.train.inputs)))


def test_inputs_outside_of_what_it_generates_are_refused_with_a_remedy() -> None:
    steps, outputs = stream("class-incremental")

    def learn(step: Step, **options: Any) -> None:
        dgr = GenerativeReplay(GenerativeReplayOptions(**SMALL | options))
        Learner(build("mlp", outputs), [dgr], outputs=outputs).learn(step, TRAIN)

    learn(scaled(steps[0], 1.0))
    with pytest.raises(StrategyError, match=r"experience 0 reach from 0 to 2: .*likelihood: gaussian"):
        learn(scaled(steps[0], 2.0))
    learn(scaled(steps[0], -2.0), likelihood="gaussian")
    integers = replace(steps[0], train=replace(steps[0].train, inputs=steps[0].train.inputs.long()))
    with pytest.raises(StrategyError, match="integers"):
        learn(integers)


def test_a_generator_that_diverged_is_not_stored() -> None:
    steps, outputs = stream("class-incremental")
    dgr = GenerativeReplay(GenerativeReplayOptions(**SMALL | {"lr": 1e6}))
    learner = Learner(build("mlp", outputs), [dgr], outputs=outputs)
    with pytest.raises(StrategyError, match="diverged in experience 0: set a lower lr"):
        learner.learn(steps[0], TRAIN)


@pytest.mark.parametrize("stored", [False, True])
def test_the_generator_keeps_its_shape(stored: bool) -> None:
    steps, outputs = stream("class-incremental")
    dgr = GenerativeReplay(GenerativeReplayOptions(**SMALL))
    learner = Learner(build("mlp", outputs), [dgr], outputs=outputs)
    learner.learn(steps[0], TRAIN)
    if stored:
        dgr.load_state_dict(dgr.state_dict())
    dgr.options = GenerativeReplayOptions(**SMALL | {"latent": 4})
    with pytest.raises(StrategyError, match="hidden, latent and likelihood"):
        learner.learn(steps[1], TRAIN, past=steps[:1])
