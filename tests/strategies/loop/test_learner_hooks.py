"""What the learner promises to the hooks of strategies: when they are called, and with what."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.data import Batch, Experience
from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.cumulative import Cumulative
from strategies.methods.ewc import EWC
from strategies.methods.naive import Naive
from strategies.methods.replay import Replay
from tests.strategies.loop.learners import SEED, assert_same, make, weights
from tests.strategies.models import build
from tests.strategies.streams import Rows, Step, stream


class Recorder(Strategy):
    """Writes down every call."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__()
        self.label, self.calls = name, calls

    def note(self, hook: str) -> None:
        self.calls.append(f"{self.label}.{hook}")

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        self.note("before_experience")

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        self.note("extend_batch")
        return batch

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> None:
        self.note("loss_term")

    def after_backward(self, learner: Learner) -> None:
        self.note("after_backward")

    def after_step(self, learner: Learner) -> None:
        self.note("after_step")

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        assert not learner.model.training
        assert learner.samples is experience.train
        self.note("after_experience")


class Chooser(Recorder):
    """Could choose what to train on, which only one strategy of a list may, but does not."""

    def training_set(self, learner: Learner, experience: Experience) -> None:
        self.note("training_set")


def test_hooks_are_called_as_documented() -> None:
    experiences, outputs = stream("class-incremental")
    calls: list[str] = []
    learner = make([Chooser("a", calls), Recorder("b", calls)], outputs=outputs)
    learner.learn(experiences[0], TrainSettings(batch_size=13))
    step = ["extend_batch", "loss_term", "after_backward", "after_step"]
    hooks = ["before_experience", "training_set", *step, *step, "after_experience"]
    expected = [f"{label}.{hook}" for hook in hooks for label in "ab"]
    expected.remove("b.training_set")
    assert calls == expected
    assert not hasattr(learner, "samples")


def test_resuming_in_the_middle_does_not_begin_the_experience_again() -> None:
    experiences, outputs = stream("class-incremental")
    calls: list[str] = []
    learner = make([Chooser("a", calls)], outputs=outputs)
    list(learner.steps(experiences[0], TrainSettings(batch_size=13), start=1))
    assert calls == [f"a.{h}" for h in ("training_set", "extend_batch", "loss_term", "after_backward", "after_step")]


def test_hooks_that_nobody_overrides_are_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*arguments: object) -> None:
        raise AssertionError("called")

    for hook in ("extend_batch", "loss_term", "after_backward", "after_step", "training_set"):
        monkeypatch.setattr(Strategy, hook, called)
    experiences, outputs = stream("class-incremental")
    learner = make([Naive(), Naive()], outputs=outputs)
    learner.learn(experiences[0], TrainSettings(batch_size=10))


def test_gradients_in_after_backward_are_those_of_the_whole_loss() -> None:
    """Of the cross entropy and all terms, before clipping."""
    found: list[dict[str, Tensor]] = []

    class Term(Strategy):
        def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor:
            return batch.mean(output.square().sum(1))

        def after_backward(self, learner: Learner) -> None:
            found.append({name: p.grad.clone() for name, p in learner.model.named_parameters()})

    experiences, outputs = stream("class-incremental")
    learner = make([Term()], outputs=outputs)
    model = build("mlp-float32", outputs)
    train = experiences[0].train
    learner.learn(experiences[0], TrainSettings(batch_size=25, clip=1e-3))
    output = model(train.inputs.float() / 255)
    (F.cross_entropy(output, train.targets) + output.square().sum(1).mean()).backward()
    assert_same(found[0], {name: p.grad for name, p in model.named_parameters()}, rtol=1e-4, atol=1e-6)


def test_what_strategies_draw_does_not_change_the_forward_pass() -> None:
    class Noise(Strategy):
        def after_step(self, learner: Learner) -> None:
            torch.rand(learner.step + 1)

    experiences, outputs = stream("class-incremental")
    results = []
    for strategies in ([], [Noise()]):
        learner = make(strategies, "dropout", outputs)
        learner.learn(experiences[0], TrainSettings(batch_size=10))
        results.append(weights(learner))
    assert_same(results[0], results[1])


def test_dropout_by_function_continues_exactly() -> None:
    """The layers of this model do not tell that it draws random numbers."""

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(36, 6)

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(self.layer(x.flatten(1)), 0.5, self.training)

    experiences, _ = stream("class-incremental")
    settings = TrainSettings(batch_size=5)
    torch.manual_seed(0)
    whole = Learner(Functional(), [], outputs=6, seed=SEED)
    parted = Learner(Functional(), [], outputs=6, seed=SEED)
    parted.model.load_state_dict(whole.model.state_dict())
    list(whole.steps(experiences[0], settings))
    steps = parted.steps(experiences[0], settings)
    assert [next(steps), next(steps)] == [1, 2]
    torch.rand(100)
    list(parted.steps(experiences[0], settings, start=2))
    assert_same(weights(parted), weights(whole))


def test_samples_of_a_training_set_say_where_they_come_from() -> None:
    seen = []

    class Watch(Strategy):
        def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
            seen.append(batch)
            return batch

    experiences, outputs = stream("task-incremental")
    learner = make([Cumulative(), Watch()], outputs=outputs)
    learner.learn(experiences[2], TrainSettings(batch_size=75), past=experiences[:2])
    (batch,) = seen
    assert sorted(batch.experiences.tolist()) == [0] * 25 + [1] * 25 + [2] * 25
    assert torch.equal(batch.targets // 2, batch.experiences)


def test_old_data_is_read_only_by_strategies_that_ask_for_it() -> None:
    class Gone(Step):
        @property
        def train(self) -> Rows:  # type: ignore[override]
            raise AssertionError("read")

    experiences, outputs = stream("task-incremental")
    past = [object.__new__(Gone) for _ in experiences[:2]]
    for gone, e in zip(past, experiences, strict=False):
        for name in ("index", "test", "classes", "outputs"):
            object.__setattr__(gone, name, getattr(e, name))
    settings = TrainSettings(batch_size=10)
    make([EWC(), Replay()], outputs=outputs).learn(experiences[2], settings, past=past)
    with pytest.raises(AssertionError, match="read"):
        make([Cumulative()], outputs=outputs).learn(experiences[2], settings, past=past)
