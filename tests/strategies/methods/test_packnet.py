"""PackNet: pruning, freezing, owners of weights, and answers that never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategies.api.compatibility import Listed, refusals, warnings
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.packnet import PackNet, PackNetOptions
from strategies.methods.replay import Replay, ReplayOptions
from strategies.networks.packed_network import PackedNetwork
from tests.strategies.models import build
from tests.strategies.streams import Step, stream

# Momentum, kept from experience to experience, and weight decay move what has no gradient.
ROUGH = TrainSettings(
    epochs=4, batch_size=5, optimizer="sgd", optimizer_options={"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02}
)
ADAM = TrainSettings(epochs=8, batch_size=5, optimizer_options={"lr": 0.01})


def make(
    setting: str = "task-incremental", model: str = "mlp", *others: Strategy, **options: Any
) -> tuple[Learner, list[Step]]:
    experiences, outputs = stream(setting)
    strategies = [PackNet(PackNetOptions(**options)), *others]
    return Learner(build(model, outputs), strategies, outputs=outputs, seed=3), experiences


def network(learner: Learner) -> PackedNetwork:
    assert isinstance(learner.model, PackedNetwork)
    return learner.model


def learn(learner: Learner, experiences: Sequence[Step], settings: TrainSettings = ROUGH) -> list[list[Tensor]]:
    """The scores of each test set after each experience."""
    rows = []
    for e in experiences:
        learner.learn(e, settings, past=experiences[: e.index])
        with learner.evaluating(), torch.no_grad():
            rows.append([learner.scores(learner.prepare(t.test.inputs), t) for t in experiences])
    return rows


@pytest.mark.parametrize("settings", [ROUGH, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("model", ["mlp", "conv", "batch-norm", "shared"])
def test_answers_of_a_learned_task_never_change(model: str, settings: TrainSettings) -> None:
    learner, experiences = make(model=model)
    rows = learn(learner, experiences, settings)
    for j in range(3):
        assert all(torch.equal(row[j], rows[j][j]) for row in rows[j:])
        assert rows[j][j][:, 2 * j].std() > 1e-6, "an answer that depends on nothing cannot change"
    assert model != "mlp" or sum(count.correct for count in learner.evaluate(experiences)) > 90  # chance: 60


def test_each_layer_is_shared_out_by_magnitude() -> None:
    learner, experiences = make(prune=0.6)
    size = 36 * 16
    free = size
    for e in experiences:
        learner.learn(e, ROUGH, past=experiences[: e.index])
        [(weight, owner)] = network(learner).weights()
        dropped = round(free * 0.6)
        assert int((owner == e.index + 1).sum()) == free - dropped
        assert torch.equal(weight == 0, owner == 0)
        free = dropped


def test_pruning_keeps_the_largest_and_takes_from_nobody() -> None:
    learner, experiences = make()
    learner.learn(experiences[0], ROUGH)
    packed = network(learner)
    packed.add_task([2, 3], 1, seed=0)
    [(weight, owner)] = packed.weights()
    owned, before = owner == 1, weight.detach().clone()
    with torch.no_grad():
        weight[~owned] = torch.randn(int((~owned).sum()), dtype=weight.dtype)
    drawn = weight.detach().clone()
    packed.prune(0.25)
    assert torch.equal(weight[owned], before[owned])
    kept, cut = drawn[owner == 2].abs(), drawn[owner == 0].abs()
    assert len(cut) == round(len(drawn[~owned]) * 0.25)
    assert kept.min() > cut.max()


def test_the_last_steps_train_what_was_kept() -> None:
    learner, experiences = make(prune=0.5, retrain=0.4)
    seen = []
    for step in learner.steps(experiences[0], ROUGH):
        [(weight, owner)] = network(learner).weights()
        seen.append((step, int((owner == 1).sum()), int((weight == 0).sum()), weight.detach().clone()))
    half = 36 * 16 // 2
    assert [(kept, zeros) for _, kept, zeros, _ in seen] == [(0, 0)] * 11 + [(half, half)] * 9
    assert not torch.equal(seen[-1][3], seen[11][3])


def test_gradients_of_frozen_weights_count_nothing() -> None:
    learner, experiences = make()
    learner.learn(experiences[0], ROUGH)
    for _ in learner.steps(experiences[1], ROUGH, past=experiences[:1]):
        [(weight, owner)] = network(learner).weights()
        assert weight.grad is not None
        assert not weight.grad[owner == 1].any()
        assert weight.grad[owner != 1].any()


def test_what_is_no_weight_is_learned_in_the_first_experience() -> None:
    learner, experiences = make(model="batch-norm")

    def rest() -> dict[str, Tensor]:
        weights = network(learner).owners.shapes
        return {n: t.clone() for n, t in network(learner).body.state_dict().items() if n not in weights}

    steps = learner.steps(experiences[0], ROUGH)
    next(steps)
    start = rest()
    assert list(steps)[-1] == 20
    learner.consolidate()
    first = rest()
    assert not any(torch.equal(first[name], tensor) for name, tensor in start.items())
    learner.learn(experiences[1], ROUGH, past=experiences[:1])
    assert all(torch.equal(rest()[name], tensor) for name, tensor in first.items())


def test_layers_that_are_not_learned_belong_to_nobody() -> None:
    learner, experiences = make(model="frozen")
    learn(learner, experiences)
    assert network(learner).weights() == []
    untrained = build("frozen", 6).state_dict()["model.1.weight"]
    assert torch.equal(network(learner).body.state_dict()["model.1.weight"], untrained)


def test_owners_take_few_bits_and_come_back() -> None:
    learner, experiences = make()
    learn(learner, experiences)
    stored = learner.state_dict()["model"]["owners._extra_state"]
    assert stored.dtype == torch.uint8
    assert stored.shape == (2, 36 * 16 // 8)  # three tasks and nobody: two bits a weight
    other, _ = make()
    other.load_state_dict(learner.state_dict())
    assert torch.equal(network(other).owners.owner, network(learner).owners.owner)


def test_replay_does_not_touch_what_is_frozen() -> None:
    replay = Replay(ReplayOptions(capacity=20, ratio=0.5))
    learner, experiences = make("task-incremental", "mlp", replay)
    rows = learn(learner, experiences)
    assert all(torch.equal(row[0], rows[0][0]) for row in rows)


def test_without_labels_the_newest_task_answers_a_domain_unless_it_is_inferred() -> None:
    told = {}
    for infer in (False, True):
        learner, experiences = make("domain-incremental", infer_task=infer)
        learn(learner, experiences)
        assert [learner.task_labels(e) for e in experiences] == ["inferred" if infer else None] * 3
        told[infer] = [count.correct for count in learner.evaluate(experiences)]
        if not infer:
            with learner.evaluating(), torch.no_grad():
                inputs = learner.prepare(experiences[0].test.inputs)
                assert torch.equal(learner.model(inputs), network(learner).answer(inputs, 2))
    assert told[True] != told[False]


def test_models_without_a_linear_head_are_refused() -> None:
    experiences, _ = stream("task-incremental")
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.Softmax(1))
    learner = Learner(model, [PackNet()], outputs=6)
    with pytest.raises(StrategyError, match=r"packnet.*must end in a torch.nn.Linear"):
        learner.learn(experiences[0], ROUGH)


def test_problems_and_partners() -> None:
    assert warnings([Listed(PackNet)], "task-incremental") == [[]]
    ((problem,),) = warnings([Listed(PackNet)], "class-incremental")
    assert "infer_task: true" in problem
    assert warnings([Listed(PackNet, PackNetOptions(infer_task=True))], "class-incremental") == [[]]
    assert refusals([Listed(PackNet), Listed(Replay)]) == []
