"""The learning loop against loops written out in plain PyTorch, and what it promises to strategies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from strategies.api.data import Batch
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import NonFiniteLoss
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.sampling import SampleOrder
from strategies.loop.step_report import StepReport
from strategies.loop.train_settings import TrainSettings
from strategies.methods.ewc import EWC
from strategies.methods.naive import Naive
from strategies.methods.replay import Replay, ReplayOptions
from tests.processes import Processes
from tests.strategies.loop.learners import SEED, assert_same, learn_all, make, weights
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, stream

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


def test_state_that_was_loaded_is_there_before_training_continues() -> None:
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
