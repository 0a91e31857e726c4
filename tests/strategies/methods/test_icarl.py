"""iCaRL: its loss, its exemplars and its classifier, written out."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from strategies.api.data import Batch
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.memory.herding import herd
from strategies.methods.icarl import ICaRL, ICaRLOptions
from tests.strategies.models import build
from tests.strategies.streams import Step, stream

TRAIN = TrainSettings(epochs=3, batch_size=12, optimizer_options={"lr": 0.02})


def body(model: nn.Module, inputs: Tensor) -> Tensor:
    """Normalised features of tests.strategies.models.mlp, layer by layer."""
    first = model.get_submodule("model.1")
    hidden: Tensor = torch.relu(first(inputs.double().flatten(1))).detach()
    return hidden / hidden.norm(dim=1, keepdim=True)


def learned(experiences: list[Step], outputs: int, temperature: float = 1.0) -> tuple[Learner, ICaRL]:
    icarl = ICaRL(ICaRLOptions(capacity=20, temperature=temperature))
    learner = Learner(build("mlp", outputs), [icarl], outputs=outputs, seed=2)
    for experience in experiences:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
    return learner, icarl


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_loss_has_labels_for_new_units_and_the_previous_model_for_old_ones(temperature: float) -> None:
    experiences, outputs = stream("class-incremental")
    learner, icarl = learned(experiences[:2], outputs, temperature)
    previous = copy.deepcopy(learner.model)
    steps = learner.steps(experiences[2], TRAIN, past=experiences[:2])
    next(steps)
    held = icarl.memory(learner).tensors
    inputs = learner.prepare(torch.cat([experiences[2].train.inputs[:4], held["inputs"][:3]]))
    targets = torch.cat([experiences[2].train.targets[:4], held["targets"][:3]])
    batch = Batch(inputs, targets, torch.zeros(7).long(), None, 7.0, 7, 7)
    output = learner.model(inputs)
    found = icarl.training_loss(learner, batch, output)

    expected = 0.0
    g, q = output.detach().sigmoid(), (previous(inputs).detach() / temperature).sigmoid()
    for n in range(7):
        for unit in range(4):
            expected -= float(q[n, unit] * g[n, unit].log() + (1 - q[n, unit]) * (1 - g[n, unit]).log())
        for unit in (4, 5):
            p = g[n, unit] if targets[n] == unit else 1 - g[n, unit]
            expected -= float(p.log())
    assert found is not None
    assert found.item() == pytest.approx(expected / 7, rel=1e-9)
    steps.close()


def test_the_experience_is_trained_together_with_the_exemplars() -> None:
    experiences, outputs = stream("class-incremental")
    learner, icarl = learned(experiences[:1], outputs)
    learner.samples = experiences[1].train
    joined = icarl.training_set(learner, experiences[1])
    assert joined is not None
    assert len(joined) == len(experiences[1].train) + 20
    assert set(joined.targets.tolist()) == {0, 1, 2, 3}


def test_exemplars_are_herded_and_shared_evenly() -> None:
    experiences, outputs = stream("class-incremental")
    learner, icarl = learned(experiences[:1], outputs)
    train = experiences[0].train
    for label in (0, 1):
        own = (train.targets == label).nonzero().squeeze(1)
        expected = train.ids[own[herd(body(learner.model, learner.prepare(train.inputs[own])), 10)]]
        held = icarl.memory(learner).tensors
        mine = held["targets"] == label
        assert torch.equal(held["ids"][mine][held["rank"][mine].argsort()], expected)
    learner.learn(experiences[1], TRAIN, past=experiences[:1])
    assert icarl.memory(learner).tensors["targets"].bincount().tolist() == [5, 5, 5, 5]


def test_a_sample_belongs_to_the_nearest_mean_of_exemplars() -> None:
    experiences, outputs = stream("class-incremental")
    learner, icarl = learned(experiences, outputs)
    held = icarl.memory(learner).tensors
    correct = 0
    inputs, targets = experiences[0].test.take(torch.arange(40))
    for x, target in zip(body(learner.model, learner.prepare(inputs)), targets.tolist(), strict=True):
        distances = []
        for label in range(outputs):
            mean = body(learner.model, learner.prepare(held["inputs"][held["targets"] == label])).mean(0)
            distances.append(float((x - mean / mean.norm()).norm()))
        correct += distances.index(min(distances)) == target
    assert learner.evaluate(experiences[:1])[0].correct == correct


def test_means_follow_the_model() -> None:
    experiences, outputs = stream("class-incremental")
    learner, icarl = learned(experiences[:2], outputs)
    learner.evaluate(experiences[:1])
    before = icarl.class_means(learner)[0]
    steps = learner.steps(experiences[2], TRAIN, past=experiences[:2])
    next(steps)
    learner.evaluate(experiences[:1])
    assert icarl._means is not None
    torch.testing.assert_close(icarl._means[0], icarl.class_means(learner)[0])
    assert not torch.equal(icarl._means[0], before)
    steps.close()
