"""Progressive networks: columns, lateral connections, and answers that never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.progressive import Progressive
from strategies.networks.lateral_connections import Connected
from strategies.networks.progressive_columns import Columns
from strategies.networks.separate_tasks import TaskOptions
from tests.strategies.models import build, mlp
from tests.strategies.streams import Step, stream

ROUGH = TrainSettings(
    epochs=4, batch_size=5, optimizer="sgd", optimizer_options={"lr": 0.05, "momentum": 0.9, "weight_decay": 0.05}
)
ADAM = TrainSettings(epochs=8, batch_size=5, optimizer_options={"lr": 0.01})


def make(setting: str = "task-incremental", model: str = "mlp", **options: Any) -> tuple[Learner, list[Step]]:
    experiences, outputs = stream(setting)
    return Learner(build(model, outputs), [Progressive(TaskOptions(**options))], outputs=outputs, seed=3), experiences


def columns(learner: Learner) -> Columns:
    assert isinstance(learner.model, Columns)
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
@pytest.mark.parametrize("model", ["mlp", "conv", "batch-norm", "dropout"])
def test_answers_of_a_learned_task_never_change(model: str, settings: TrainSettings) -> None:
    learner, experiences = make(model=model)
    rows = learn(learner, experiences, settings)
    for j in range(3):
        assert all(torch.equal(row[j], rows[j][j]) for row in rows[j:])
        assert rows[j][j][:, 2 * j].std() > 1e-6, "an answer that depends on nothing cannot change"
    assert model != "mlp" or sum(count.correct for count in learner.evaluate(experiences)) > 90  # chance: 60


def test_the_first_column_is_the_model_and_the_others_have_weights_of_their_own() -> None:
    learner, experiences = make()
    untrained = build("mlp", 6).state_dict()["model.1.weight"]
    next(learner.steps(experiences[0], TrainSettings(optimizer="sgd", optimizer_options={"lr": 1e-12})))
    held = learner.model.state_dict()
    torch.testing.assert_close(held["columns.0.model.1.layer.weight"], untrained)
    for e in experiences:
        learner.learn(e, ROUGH, past=experiences[: e.index])
    held = learner.model.state_dict()
    drawn = [held[f"columns.{k}.model.1.layer.weight"] for k in range(3)]
    assert not any(torch.allclose(a, b) for a, b in ((drawn[0], drawn[1]), (drawn[1], drawn[2])))


def test_a_column_computes_what_the_paper_says() -> None:
    """Equation 2 written out for a multi-layer perceptron with one hidden layer and two columns."""
    learner, experiences = make()
    learn(learner, experiences[:2])
    inputs = learner.prepare(experiences[1].test.inputs)
    w = {name: tensor.detach() for name, tensor in learner.model.state_dict().items()}
    x = inputs.double().flatten(1)
    h0, h1 = (
        F.relu(F.linear(x, w[f"{c}.weight"], w[f"{c}.bias"])) for c in [f"columns.{k}.model.1.layer" for k in (0, 1)]
    )
    adapter = "heads.1.layer.lateral"
    lateral = F.relu(w[f"{adapter}.scale"] * h0 @ w[f"{adapter}.project.weight"].T) @ w[f"{adapter}.adapt.weight"].T
    expected = F.linear(h1, w["heads.1.layer.layer.weight"], w["heads.1.layer.layer.bias"]) + lateral
    with learner.evaluating(), torch.no_grad():
        found = learner.scores(inputs, experiences[1])[:, [2, 3]]
    torch.testing.assert_close(found, expected)
    assert lateral.abs().max() > 1e-3


def test_every_layer_but_the_first_is_fed_by_the_columns_before() -> None:
    learner, experiences = make(model="conv")
    learn(learner, experiences)
    fed = {
        name: len(layer.lateral.scale)
        for name, layer in learner.model.named_modules()
        if isinstance(layer, Connected) and layer.lateral is not None
    }
    assert fed == {"columns.1.model.3": 1, "heads.1.layer": 1, "columns.2.model.3": 2, "heads.2.layer": 2}


def test_earlier_columns_change_a_later_answer_and_not_the_reverse() -> None:
    learner, experiences = make()
    before = learn(learner, experiences)[-1]
    with torch.no_grad():
        columns(learner).columns[1].get_parameter("model.1.layer.weight").add_(0.1)
    with learner.evaluating(), torch.no_grad():
        after = [learner.scores(learner.prepare(e.test.inputs), e) for e in experiences]
    assert [torch.equal(a, b) for a, b in zip(after, before, strict=True)] == [True, False, False]


def test_only_the_newest_column_learns() -> None:
    learner, experiences = make(model="batch-norm")
    for e in experiences:
        next(learner.steps(e, TrainSettings(batch_size=5), past=experiences[: e.index]))
        network = columns(learner)
        assert [column.training for column in network.columns] == [False] * e.index + [True]
        for name, parameter in network.named_parameters():
            assert parameter.requires_grad == (name.split(".")[1] == str(e.index)), name


def test_pretrained_layers_stay_as_they_are_in_every_column() -> None:
    learner, experiences = make(model="frozen")
    learn(learner, experiences)
    untrained = build("frozen", 6).state_dict()["model.1.weight"]
    for k in range(3):
        assert torch.equal(learner.model.state_dict()[f"columns.{k}.model.1.layer.weight"], untrained)


def test_models_that_cannot_be_connected_are_refused() -> None:
    learner, experiences = make(model="shared")
    with pytest.raises(StrategyError, match=r"calls model.middle more than once: give it a layer for each call"):
        learner.learn(experiences[0], ROUGH)


def test_models_that_cannot_be_copied_are_refused() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.model = mlp(6)

        def forward(self, inputs: Tensor) -> Tensor:
            output: Tensor = self.model(inputs * self.scale)
            return output

    experiences, _ = stream("task-incremental")
    learner = Learner(Scaled(), [Progressive()], outputs=6)
    learner.learn(experiences[0], ROUGH)
    with pytest.raises(StrategyError, match=r"Scaled .* give it a method reset_parameters"):
        learner.learn(experiences[1], ROUGH, past=experiences[:1])


def test_an_experience_of_one_class_cannot_be_told_apart() -> None:
    learner, experiences = make("class-incremental", infer_task=True)
    alone = experiences[0].train
    one = Step(0, type(alone)(alone.inputs, alone.targets * 0, alone.ids), experiences[0].test, (0,))
    with pytest.raises(StrategyError, match="experience 0 has one: give each experience two or more"):
        learner.learn(one, ROUGH)


def test_columns_are_stored_once() -> None:
    """What was stored of a column after its experience is, to the bit, what is stored of it after later ones."""
    learner, experiences = make()
    stored = []
    for e in experiences:
        learner.learn(e, ROUGH, past=experiences[: e.index])
        stored.append({g: {n: t.clone() for n, t in s.items()} for g, s in learner.state_dict().items()})
    assert {group for group in stored[2] if group.startswith("model.")} == {f"model.column.{k}" for k in range(3)}
    for k in range(3):
        for state in stored[k:]:
            torch.testing.assert_close(state[f"model.column.{k}"], stored[k][f"model.column.{k}"], rtol=0, atol=0)
    assert not any(name.startswith("columns.0") for name in stored[2]["optimizer"])
