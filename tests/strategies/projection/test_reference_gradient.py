"""Gradients on samples of the past."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from strategies.memory.reservoir import Memory
from strategies.projection import reference_gradient as module
from strategies.projection.reference_gradient import gradients, reference_gradient
from tests.processes import Processes
from tests.strategies.models import build
from tests.strategies.streams import rows, stream


def prepared(model: str = "mlp") -> tuple[Learner, Memory]:
    experiences, outputs = stream("class-incremental")
    learner = Learner(build(model, outputs), [], outputs=outputs, seed=3, group=Group.current())
    next(learner.steps(experiences[0], TrainSettings(batch_size=12)))
    memory, part = Memory(11), rows((0, 1), 20, 4)
    memory.add(0, {"ids": part.ids, "targets": part.targets, "inputs": part.inputs})
    return learner, memory


def reference(chosen: list[int]) -> list[Tensor]:
    learner, memory = prepared()
    return reference_gradient(learner, memory, torch.tensor(chosen))


@pytest.mark.parametrize("chunk", [3, 1000])
def test_it_is_the_gradient_of_the_mean_loss_in_evaluation_mode(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    learner, memory = prepared("dropout")
    learner.model.train()
    chosen = torch.tensor([1, 5, 5, 9])
    found = reference_gradient(learner, memory, chosen)
    assert learner.model.training and all(p.grad is None or p.grad is not None for p in learner.model.parameters())
    learner.model.eval()
    output = learner.model(memory.tensors["inputs"][chosen].float() / 255)
    loss = F.cross_entropy(output.float(), memory.tensors["targets"][chosen])
    expected = torch.autograd.grad(loss, list(learner.model.parameters()))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-7)


def test_parameters_without_a_part_get_zeros_and_frozen_ones_nothing() -> None:
    learner, memory = prepared("unused")
    found = reference_gradient(learner, memory, torch.arange(4))
    names = [name for name, p in learner.model.named_parameters() if p.requires_grad]
    assert len(found) == len(names)
    zero = {name for name, g in zip(names, found, strict=True) if not g.any()}
    assert zero == {f"model.{layer}.{part}" for layer in ("other_head", "never") for part in ("weight", "bias")}
    learner.model.requires_grad_(False)
    learner.model.get_parameter("model.head.bias").requires_grad_(True)
    assert [g.shape for g in reference_gradient(learner, memory, torch.arange(4))] == [(6,)]


@pytest.mark.parametrize("chosen", [[0, 3, 4, 7, 8], [6]])
def test_ranks_come_to_the_same(chosen: list[int], processes: Callable[[int], Processes]) -> None:
    alone = reference(chosen)
    for found in processes(3).run(reference, chosen):
        for mine, theirs in zip(found, alone, strict=True):
            torch.testing.assert_close(mine, theirs)


def test_gradients_are_those_of_the_parameters_themselves() -> None:
    learner, _ = prepared()
    parameters = list(learner.model.parameters())
    for p in parameters:
        p.grad = None
    parameters[0].grad = torch.ones_like(parameters[0])
    cares = [torch.zeros_like(p) for p in parameters]
    cares[1] += 1
    found = gradients(learner, [cares])
    assert found[0] is parameters[0].grad and found[1] is parameters[1].grad
    assert found[1] is not None and not found[1].any()
    # Nobody cares for the others: they stay without one.
    assert parameters[2].grad is None and not found[2].any()
    assert isinstance(learner.model, nn.Module)
