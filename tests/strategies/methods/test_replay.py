"""Replay: what comes into the batch, how much it counts, and what stays in the memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from strategies.api.data import Batch
from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.memory.reservoir import Memory
from strategies.methods.replay import Replay, ReplayOptions, exact_share
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, Step, stream


class Watch(Strategy):
    """Keeps the batches, and the gradients of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.gradients: list[dict[str, Tensor]] = []

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        self.batches.append(batch)
        return batch

    def after_backward(self, learner: Learner) -> None:
        self.gradients.append({name: p.grad.clone() for name, p in learner.model.named_parameters()})


def learned(
    setting: str, experiences: int, batch_size: int = 10, **options: Any
) -> tuple[Learner, Replay, Watch, list[Step]]:
    """A learner after so many experiences; the watch saw the last one only."""
    steps, outputs = stream(setting)
    replay, watch = Replay(ReplayOptions(**options)), Watch()
    learner = Learner(build("mlp", outputs), [replay, watch], outputs=outputs, seed=3)
    for step in steps[:experiences]:
        watch.batches, watch.gradients = [], []
        learner.learn(step, TrainSettings(batch_size=batch_size), past=steps[: step.index])
    return learner, replay, watch, steps


def memory_of(steps: list[Step], capacity: int, policy: str = "uniform", per_class: int | None = None) -> Memory:
    memory = Memory(capacity, policy, 3, per_class=per_class)
    for step in steps:
        train = step.train
        memory.add(step.index, {"ids": train.ids, "targets": train.targets, "inputs": train.inputs})
    return memory


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "options",
    [
        {"capacity": 11},
        {"capacity": 1000},
        {"capacity": 11, "policy": "class-balanced"},
        {"capacity": 30, "policy": "class-balanced", "per_class": 3},
    ],
    ids=str,
)
def test_the_memory_is_that_of_all_samples_seen(setting: str, options: dict[str, Any]) -> None:
    learner, replay, _, steps = learned(setting, 3, **options)
    memory = replay.memories(learner)["replay"]
    for name, tensor in memory_of(steps, **options).tensors.items():
        assert torch.equal(memory.tensors[name], tensor)
    assert memory.tensors["inputs"].dtype == torch.uint8


@pytest.mark.parametrize(
    ("ratio", "added"), [(0.5, [10, 10, 5]), (0.2, [2, 2, 1]), (0.75, [30, 30, 15]), (0.01, [1] * 3)]
)
def test_the_ratio_is_the_replayed_share_of_the_batch(ratio: float, added: list[int]) -> None:
    _, _, watch, steps = learned("class-incremental", 2, capacity=20, ratio=ratio)
    assert [len(b) - b.current for b in watch.batches] == added
    assert [b.current for b in watch.batches] == [10, 10, 5]
    for b in watch.batches:
        assert b.total_samples == b.total_weight == len(b)
        assert set(b.experiences[: b.current].tolist()) == {1}
        assert set(b.experiences[b.current :].tolist()) == {0}
        drawn = [row.tobytes() for row in (b.inputs[b.current :] * 255).round().byte().numpy()]
        held = Counter(row.tobytes() for row in memory_of(steps[:1], 20).tensors["inputs"].numpy())
        assert set(drawn) <= set(held)
        assert max(Counter(drawn).values()) <= -(-len(drawn) // 20)


def test_nothing_is_added_in_the_first_experience() -> None:
    _, _, watch, _ = learned("class-incremental", 1, capacity=20)
    assert [len(b) for b in watch.batches] == [10, 10, 5]


@pytest.mark.parametrize("weighting", ["samples", "experiences"])
@pytest.mark.parametrize("experiences", [2, 3])
def test_the_loss_is_the_one_documented(weighting: str, experiences: int) -> None:
    """`samples`: the mean over the batch. `experiences`: (1/k) current + (1 - 1/k) replayed, each a mean."""
    steps, outputs = stream("task-incremental")
    _, _, watch, _ = learned("task-incremental", experiences, capacity=20, ratio=0.3, weighting=weighting)
    before, _, _, _ = learned("task-incremental", experiences - 1, capacity=20, ratio=0.3, weighting=weighting)
    model, b = before.model, watch.batches[0]
    output = model(b.inputs).float()
    allowed = torch.zeros(len(b), outputs, dtype=torch.bool)
    for row, experience in enumerate(b.experiences.tolist()):
        allowed[row, list(steps[experience].outputs or ())] = True
    losses = F.cross_entropy(output.masked_fill(~allowed, -torch.inf), b.targets, reduction="none")
    current, past = losses[: b.current].mean(), losses[b.current :].mean()
    k = experiences
    loss = losses.mean() if weighting == "samples" else current / k + (1 - 1 / k) * past
    model.zero_grad()
    loss.backward()
    expected = {name: p.grad for name, p in model.named_parameters()}
    torch.testing.assert_close(watch.gradients[0], expected, rtol=1e-5, atol=1e-8)


def test_every_step_draws_anew() -> None:
    _, _, watch, _ = learned("class-incremental", 2, capacity=1000, ratio=0.5)
    first, second = (b.inputs[b.current :] for b in watch.batches[:2])
    assert not torch.equal(first, second)


def test_it_remembers() -> None:
    settings = TrainSettings(epochs=20, batch_size=10, optimizer_options={"lr": 0.01})
    counts = []
    for strategies in ([], [Replay()]):
        steps, outputs = stream("class-incremental", train=60)
        learner = Learner(build("mlp", outputs), strategies, outputs=outputs, seed=3)
        for step in steps:
            learner.learn(step, settings)
        counts.append([count.correct for count in learner.evaluate(steps)])
    assert counts[0][:2] == [0, 0]
    assert min(counts[1]) >= 34


def test_options() -> None:
    wrongs = (
        {"capacity": 0},
        {"ratio": 0},
        {"ratio": 1},
        {"policy": "oldest"},
        {"weighting": "none"},
        {"size": 5},
        {"per_class": 5},
    )
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            ReplayOptions(**wrong)


@given(st.sampled_from([0.01, 0.05, 0.25, 0.5, 0.9]), st.integers(1, 9), st.integers(1, 300))
def test_an_exact_share_is_that_of_the_whole_experience(ratio: float, batch: int, steps: int) -> None:
    added = sum(exact_share(step * batch, batch, ratio) for step in range(steps))
    assert added + 1 > ratio * (added + 1 + steps * batch) - 1e-9
    assert added <= ratio * (added + steps * batch) + 1e-9


def test_batches_have_an_exact_share_of_the_memory() -> None:
    _, _, watch, _ = learned("class-incremental", 2, batch_size=5, ratio=0.1, exact=True, capacity=20)
    assert [len(batch) - batch.current for batch in watch.batches] == [0, 1, 0, 1, 0]
