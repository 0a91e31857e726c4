"""What strategies make of an objective whose targets are columns, written out one sample and one column at a time."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from strategies.api.data import Batch
from strategies.api.strategy import Strategy
from strategies.loop.batch_loss import batch_loss
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import generator
from strategies.loop.train_settings import TrainSettings
from strategies.memory.reservoir import Memory
from strategies.methods.der import DER, DEROptions
from strategies.methods.generative_replay import GenerativeReplay, GenerativeReplayOptions
from strategies.methods.lwf import LwF, LwFOptions
from strategies.methods.replay import Replay, ReplayOptions
from strategies.networks.task_network import TaskNetwork
from strategies.projection.reference_gradient import reference_gradient
from tests.strategies.cases import make_objective, make_strategy
from tests.strategies.models import build
from tests.strategies.streams import Step, column_stream

TRAIN = TrainSettings(epochs=1, batch_size=12, optimizer_options={"lr": 0.02})
KINDS = {"regression": "numbers", "multi-label": "labels"}
SETTINGS = ("domain-incremental", "task-incremental")


def learned(name: str, setting: str, *strategies: Strategy) -> tuple[Learner, list[Step]]:
    """A learner in the middle of its third experience."""
    experiences, outputs = column_stream(setting, KINDS[name])
    learner = Learner(build("mlp", outputs), strategies, outputs=outputs, seed=5, objective=make_objective(name))
    for experience in experiences[:2]:
        learner.learn(experience, TRAIN, past=experiences[: experience.index])
    steps = learner.steps(experiences[2], TRAIN, past=experiences[:2])
    next(steps)
    next(steps)
    steps.close()
    return learner, experiences


def current(learner: Learner, experience: Step, n: int = 9) -> Batch:
    inputs, targets = experience.train.take(torch.arange(n))
    origin = torch.full((n,), experience.index)
    return Batch(learner.prepare(inputs), targets, origin, None, float(n), n, n, total_current=n)


def own(learner: Learner, experience: Step) -> list[int]:
    return list(experience.outputs or range(learner.outputs))


def loss_by_hand(name: str, output: Tensor, targets: Tensor, first: Step) -> Tensor:
    """The loss of one sample: of its outputs, (k,), and targets, (k,).

    Args:
        first: experience 0, of which the scale of numbers is.
    """
    total = torch.zeros((), dtype=torch.float64)
    for column, (z, y) in enumerate(zip(output, targets.tolist(), strict=True)):
        if name == "regression":
            values = first.train.targets[:, column].tolist()
            mean = sum(values) / len(values)
            deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
            total = total + (z - (y - mean) / deviation) ** 2 / 2
        else:
            total = total + torch.log1p(torch.exp(-z if y else z))
    return total


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_reference_gradients_are_of_the_mean_loss(name: str, setting: str) -> None:
    learner, experiences = learned(name, setting)
    train = experiences[1].train
    memory = Memory(30)
    memory.add(1, {"ids": train.ids, "inputs": train.inputs, "targets": train.targets})
    chosen = torch.arange(7)
    found = reference_gradient(learner, memory, chosen)
    outputs = learner.model(learner.prepare(memory.tensors["inputs"][chosen]))[:, own(learner, experiences[1])]
    targets = memory.tensors["targets"][chosen]
    losses = [loss_by_hand(name, z, y, experiences[0]) for z, y in zip(outputs, targets, strict=True)]
    expected = torch.autograd.grad(torch.stack(losses).mean(), list(learner.model.parameters()))
    torch.testing.assert_close(found, list(expected), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_lwf_keeps_the_outputs_of_each_past_task_or_of_all_domains(name: str, setting: str) -> None:
    lwf = LwF(LwFOptions(alpha=0.7, temperature=3.0))
    learner, experiences = learned(name, setting, lwf)
    batch = current(learner, experiences[2], 5)
    output, teacher = learner.model(batch.inputs), lwf.teacher(learner, batch.inputs)
    heads = [[0, 1], [2, 3]] if setting == "task-incremental" else [[0, 1]]
    expected = 0.0
    for row, other in zip(output.tolist(), teacher.tolist(), strict=True):
        for unit in (unit for head in heads for unit in head):
            if name == "regression":
                expected += (row[unit] - other[unit]) ** 2 / 2
            else:
                p, q = (1 / (1 + math.exp(-z / 3.0)) for z in (row[unit], other[unit]))
                expected -= 3.0**2 * (q * math.log(p) + (1 - q) * math.log(1 - p))
    found = lwf.loss_term(learner, batch, output)
    assert found is not None
    # The mean over samples and old tasks, times alpha and the number of past experiences.
    assert found.item() == pytest.approx(expected / 5 / len(heads) * 0.7 * 2, rel=1e-9)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_der_keeps_the_stored_outputs_and_learns_the_labels(name: str, setting: str) -> None:
    der = DER(DEROptions(capacity=20, alpha=0.6, beta=0.3, ratio=0.4))
    learner, experiences = learned(name, setting, der)
    batch = current(learner, experiences[2])
    found = batch_loss(learner, der.extend_batch(learner, batch), "fp32")
    memory, n = der.memory(learner), round(9 * 0.4 / 0.6)

    def losses(inputs: Tensor, targets: Tensor, origin: list[int]) -> Tensor:
        outputs = learner.model(inputs)
        rows = zip(outputs, targets, origin, strict=True)
        each = [loss_by_hand(name, z[own(learner, experiences[e])], y, experiences[0]) for z, y, e in rows]
        return torch.stack(each).mean()

    expected = losses(batch.inputs, batch.targets, [2] * 9)
    for purpose, weight in (("der-logits", 0.6), ("der-labels", 0.3)):
        drawn = memory.draw(n, generator(5, purpose, 2, learner.step))
        inputs, origin = learner.prepare(memory.tensors["inputs"][drawn]), memory.tensors["experiences"][drawn].tolist()
        if purpose == "der-labels":
            expected = expected + weight * losses(inputs, memory.tensors["targets"][drawn], origin)
            continue
        for z, stored, e in zip(learner.model(inputs), memory.tensors["logits"][drawn], origin, strict=True):
            units = own(learner, experiences[e])
            expected = expected + weight * sum((z[u] - stored[u]) ** 2 / len(units) for u in units) / n
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_generated_samples_have_what_the_previous_model_says_as_targets(name: str, setting: str) -> None:
    dgr = GenerativeReplay(GenerativeReplayOptions(hidden=(8,), latent=3, ratio=0.6))
    learner, experiences = learned(name, setting, dgr)
    teacher = copy.deepcopy(dgr.teacher)
    batch = dgr.extend_batch(learner, current(learner, experiences[2]))
    generated = batch.inputs[9:]
    assert len(generated) == round(9 * 0.6 / 0.4) and batch.targets.dtype == experiences[0].train.targets.dtype
    outputs, every = teacher(learner, generated), experiences[0].train.targets
    for row, target, experience in zip(outputs, batch.targets[9:], batch.experiences[9:].tolist(), strict=True):
        z = row[own(learner, experiences[experience])]
        if name == "regression":
            torch.testing.assert_close(target, z * every.std(0, correction=0) + every.mean(0))
        else:
            assert target.tolist() == [int(value > 0) for value in z.tolist()]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("method", ["progressive", "packnet"])
def test_a_task_learns_its_own_outputs_from_its_own_samples(name: str, method: str) -> None:
    replay = Replay(ReplayOptions(capacity=20))
    learner, experiences = learned(name, "task-incremental", make_strategy(method, {}), replay)
    assert isinstance(learner.model, TaskNetwork)
    batch = current(learner, experiences[2])
    longer = replay.extend_batch(learner, batch)
    assert len(longer) > 9
    outputs = learner.model(batch.inputs)[:, [4, 5]]
    losses = [loss_by_hand(name, z, y, experiences[0]) for z, y in zip(outputs, batch.targets, strict=True)]
    torch.testing.assert_close(
        batch_loss(learner, batch, "fp32").double(), torch.stack(losses).mean(), rtol=1e-5, atol=1e-7
    )
    # Replayed samples of other tasks count as samples without a loss.
    shared = torch.stack(losses).sum() / longer.total_weight
    torch.testing.assert_close(batch_loss(learner, longer, "fp32").double(), shared, rtol=1e-5, atol=1e-7)
    with learner.evaluating(), torch.no_grad():
        scores = learner.scores(batch.inputs, experiences[0])
    assert bool((scores[:, :2] > -math.inf).all()) and bool((scores[:, 2:] == -math.inf).all())
