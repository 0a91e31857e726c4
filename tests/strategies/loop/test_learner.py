"""The learning loop against loops written out in plain PyTorch, and what it promises to strategies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.data import Batch, Experience
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import NonFiniteLoss
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.sampling import SampleOrder
from strategies.loop.step_report import StepReport
from strategies.loop.train_settings import TrainSettings
from strategies.methods.cumulative import Cumulative
from strategies.methods.ewc import EWC
from strategies.methods.naive import Naive
from strategies.methods.replay import Replay, ReplayOptions
from tests.processes import Processes
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, Rows, Step, stream

SEED = 3


def make(strategies: Sequence[Strategy] = (), model: str = "mlp-float32", outputs: int = 6) -> Learner:
    return Learner(build(model, outputs), strategies, outputs=outputs, seed=SEED)


def learn_all(learner: Learner, experiences: Sequence[Step], settings: TrainSettings) -> None:
    for e in experiences:
        learner.learn(e, settings, past=experiences[: e.index])


def weights(learner: Learner) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    torch.testing.assert_close(one, other, **({"rtol": 0, "atol": 0} | tolerance))


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_it_trains_like_a_plain_loop(setting: str, kind: str) -> None:
    experiences, outputs = stream(setting)
    options: dict[str, Any] = {"lr": 0.05} if kind == "adam" else {"lr": 0.3, "momentum": 0.9}
    learner = make(outputs=outputs)
    learn_all(learner, experiences, TrainSettings(2, None, 10, kind, options, clip=0.5))

    model = build("mlp-float32", outputs)
    optimizer: torch.optim.Optimizer
    if kind == "adam":
        optimizer = torch.optim.Adam(model.parameters(), **options, fused=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), **options)
    for e in experiences:
        order = SampleOrder(len(e.train), 10, 2, None, SEED, e.index)
        for step in range(len(order)):
            index = order.batch(step)
            logits = model(e.train.inputs[index].float() / 255)
            if e.outputs is not None:
                others = [unit for unit in range(outputs) if unit not in e.outputs]
                logits[:, others] = -math.inf
            optimizer.zero_grad()
            F.cross_entropy(logits, e.train.targets[index]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    assert_same(weights(learner), dict(model.state_dict()), rtol=1e-4, atol=1e-6)


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    experiences, outputs = stream("task-incremental")
    results = []
    for accumulate in (1, 2, 5, 40):
        learner = make([EWC(), Replay(ReplayOptions(capacity=9))], "mlp", outputs)
        learn_all(learner, experiences, TrainSettings(batch_size=10, accumulate=accumulate))
        results.append(weights(learner))
    for other in results[1:]:
        assert_same(other, results[0], rtol=1e-6, atol=1e-8)


def test_clipping_bounds_the_gradient_after_the_strategies() -> None:
    norms = []

    class Push(Strategy):
        def after_backward(self, learner: Learner) -> None:
            for p in learner.model.parameters():
                p.grad += 100

        def after_step(self, learner: Learner) -> None:
            norms.append(torch.cat([p.grad.flatten() for p in learner.model.parameters()]).norm().item())

    experiences, outputs = stream("class-incremental")
    make([Push()], outputs=outputs).learn(experiences[0], TrainSettings(batch_size=10, clip=0.25))
    assert norms == pytest.approx([0.25] * 3, rel=1e-4)


def test_mixed_precision_trains_in_bfloat16_with_weights_in_float32() -> None:
    seen = set()
    experiences, outputs = stream("class-incremental", train=60)
    learner = make(outputs=outputs)
    learner.model[1].register_forward_hook(lambda module, args, output: seen.add(output.dtype))
    learner.learn(experiences[0], TrainSettings(8, None, 10, precision="bf16", optimizer_options={"lr": 0.01}))
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in learner.model.parameters()} == {torch.float32}
    assert learner.evaluate(experiences[:1])[0].correct >= 36


def test_task_masks_leave_the_units_of_other_tasks_alone() -> None:
    experiences, outputs = stream("task-incremental")
    learner = make(outputs=outputs)
    before = learner.model[3].weight.detach().clone()
    learner.learn(experiences[1], TrainSettings(batch_size=10), past=experiences[:1])
    changed = (learner.model[3].weight.detach() != before).any(1).nonzero().squeeze(1)
    assert changed.tolist() == [2, 3]


def test_masks_are_those_of_each_sample() -> None:
    experiences, outputs = stream("task-incremental")
    learner = make(outputs=outputs)
    next(learner.steps(experiences[2], TrainSettings(batch_size=10), past=experiences[:2]))
    masked = learner.masked(torch.ones(3, outputs), torch.tensor([2, 0, 1]))
    assert torch.equal(masked.isfinite().nonzero()[:, 1].view(3, 2), torch.tensor([[4, 5], [0, 1], [2, 3]]))
    assert learner.units(experiences[1]).tolist() == [2, 3]
    experiences, _ = stream("class-incremental")
    next(learner.steps(experiences[0], TrainSettings(batch_size=10)))
    assert torch.equal(learner.masked(torch.ones(1, outputs), torch.tensor([0])), torch.ones(1, outputs))
    assert learner.units(experiences[0]).tolist() == list(range(outputs))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (torch.tensor([[0, 51, 255]], dtype=torch.uint8), torch.tensor([[0.0, 0.2, 1.0]])),
        (torch.tensor([[0.5]], dtype=torch.float16), torch.tensor([[0.5]])),
        (torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([[0.5]])),
        (torch.tensor([[-1.5]]), torch.tensor([[-1.5]])),
        (torch.tensor([[7]]), torch.tensor([[7]])),
    ],
)
def test_stored_types_become_what_models_take(stored: Tensor, expected: Tensor) -> None:
    before = stored.clone()
    prepared = make().prepare(stored)
    assert prepared.dtype == expected.dtype
    torch.testing.assert_close(prepared, expected)
    assert torch.equal(stored, before)


# ---------------------------------------------------------------- optimiser


def test_optimiser_state_is_kept_reset_or_dropped() -> None:
    experiences, outputs = stream("class-incremental")

    def steps_counted(second: TrainSettings) -> float:
        learner = make(outputs=outputs)
        learner.learn(experiences[0], TrainSettings(batch_size=10))
        learner.learn(experiences[1], second)
        return float(learner.state_dict()["optimizer"]["1.weight/step"])

    assert steps_counted(TrainSettings(batch_size=10)) == 6
    assert steps_counted(TrainSettings(batch_size=10, optimizer_options={"lr": 0.5})) == 6
    assert steps_counted(TrainSettings(batch_size=10, reset=True)) == 3
    assert steps_counted(TrainSettings(batch_size=10, optimizer="adamw")) == 3


def test_state_has_a_group_for_each_owner_and_names_for_each_tensor() -> None:
    experiences, outputs = stream("class-incremental")
    learner = make([EWC(), Naive()], outputs=outputs)
    assert learner.state_dict().keys() == {"model", "optimizer"}
    learner.learn(experiences[0], TrainSettings(batch_size=10))
    state = learner.state_dict()
    assert state.keys() == {"model", "optimizer", "strategy.ewc"}
    assert state["model"].keys() == {"1.weight", "1.bias", "3.weight", "3.bias"}
    assert "3.bias/exp_avg_sq" in state["optimizer"]
    assert "importance.3.bias" in state["strategy.ewc"]


def test_state_that_was_loaded_is_there_before_training_goes_on() -> None:
    experiences, outputs = stream("class-incremental")
    learner = make([EWC()], outputs=outputs)
    learner.learn(experiences[0], TrainSettings(batch_size=10))
    other = make([EWC()], outputs=outputs)
    other.load_state_dict(learner.state_dict(), optimizer="adam")
    for group, tensors in learner.state_dict().items():
        assert_same(other.state_dict()[group], tensors)


# ---------------------------------------------------------------- faults


class Poison(Strategy):
    """Makes the loss infinite at one step, on one rank."""

    def __init__(self, step: int, rank: int = 0) -> None:
        super().__init__()
        self.step, self.rank = step, rank

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        poisoned = learner.step == self.step and learner.group.rank == self.rank
        return output.sum() * math.nan if poisoned else None


def test_a_loss_that_is_not_finite_is_named() -> None:
    experiences, outputs = stream("class-incremental")
    learner = make([Poison(2)], outputs=outputs)
    with pytest.raises(NonFiniteLoss, match="nan at step 2 of experience 1") as caught:
        learner.learn(experiences[1], TrainSettings(batch_size=10))
    assert (caught.value.experience, caught.value.step) == (1, 2)


def poisoned_rank() -> tuple[int, int]:
    experiences, outputs = stream("class-incremental")
    learner = Learner(build("mlp-float32", outputs), [Poison(1, rank=1)], outputs=outputs, group=Group.current())
    try:
        learner.learn(experiences[1], TrainSettings(batch_size=10))
    except NonFiniteLoss as error:
        return error.experience, error.step
    raise AssertionError("not noticed")


def test_all_ranks_notice_it_at_the_same_step(processes: Callable[[int], Processes]) -> None:
    assert processes(2).run(poisoned_rank) == [(1, 1), (1, 1)]


# ---------------------------------------------------------------- hooks


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


def test_going_on_in_the_middle_does_not_begin_the_experience_again() -> None:
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


def test_dropout_by_function_goes_on_exactly() -> None:
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


# ---------------------------------------------------------------- reports


def reports(group: Group | None = None) -> list[StepReport]:
    experiences, outputs = stream("class-incremental")
    heard: list[StepReport] = []
    learner = Learner(
        build("mlp", outputs), [Replay(ReplayOptions(capacity=5, ratio=0.2))], outputs=outputs, group=group
    )
    for e in experiences[:2]:
        learner.learn(e, TrainSettings(batch_size=8), listener=heard.append)
    return [replace(report, loss=report.loss.clone()) for report in heard]


def reports_here() -> list[StepReport]:
    return reports(Group.current())


def test_the_listener_hears_every_step(processes: Callable[[int], Processes]) -> None:
    alone = reports()
    assert [(r.step, r.steps) for r in alone] == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2
    assert [r.samples for r in alone] == [8, 8, 8, 1, 10, 10, 10, 2]
    assert all(r.loss.dim() == 0 and not r.loss.requires_grad for r in alone)
    for one, *parts in zip(alone, *processes(2).run(reports_here), strict=True):
        assert all(replace(part, loss=one.loss) == one for part in parts)
        assert sum(float(part.loss) for part in parts) == pytest.approx(float(one.loss), rel=1e-5)
