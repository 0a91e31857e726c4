"""Gradients of the sum of all ranks' losses, whatever has a part in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.data import Batch
from strategies.loop.global_loss import GlobalLoss
from strategies.loop.process_group import Group
from tests.processes import Processes
from tests.strategies.models import build

N = 11
RUNS = [(model, extra, parts) for model in ("mlp", "unused") for extra in (False, True) for parts in (1, 3)]


def batch(group: Group) -> Batch:
    """This rank's share of a batch of 11."""
    where = group.share(N)
    inputs = torch.linspace(-1, 1, N * 36).view(N, 1, 6, 6).sin()
    targets = torch.arange(N) % 4
    return Batch(inputs[where], targets[where], targets[where] * 0, None, float(N), len(range(N)[where]), N)


def gradients(model_name: str, extra: bool, parts: int, steps: int = 3) -> tuple[dict[str, Tensor | None], float]:
    """The sums of some steps' gradients, and of this rank's losses.

    Args:
        extra: a layer that only the loss uses, in every second step, and on ranks with samples.
    """
    group = Group.current()
    model = build(model_name, 4)
    if extra:
        model.add_module("extra", nn.Linear(4, 1).double())
        nn.init.ones_(model.extra.weight)
        nn.init.zeros_(model.extra.bias)
    step = 0

    def loss(part: Batch) -> Tensor:
        output = model(part.inputs)
        value = part.mean(F.cross_entropy(output, part.targets, reduction="none"))
        if extra and step % 2 == 0 and len(part):
            value = value + part.mean(model.extra(output).square()[:, 0])
        return value

    whole = GlobalLoss(model, loss, group, lambda: batch(Group()).inputs[:2], parts)
    value = 0.0
    for step in range(steps):  # noqa: B007 (the loss reads it)
        value += float(whole.backward(batch(group)))
    assert model.training
    return {name: p.grad for name, p in model.named_parameters()}, value


def all_runs() -> list[tuple[dict[str, Tensor | None], float]]:
    return [gradients(*run) for run in RUNS]


@pytest.mark.parametrize("ranks", [2, 4])
def test_all_ranks_have_the_gradients_of_the_whole_batch(ranks: int, processes: Callable[[int], Processes]) -> None:
    alone = [gradients(model, extra, 1) for model, extra, _ in RUNS]
    for found in zip(alone, *processes(ranks).run(all_runs), strict=True):
        (expected, value), *results = found
        assert sum(part for _, part in results) == pytest.approx(value)
        for gradient, _ in results:
            for name, tensor in expected.items():
                if tensor is None:
                    assert gradient[name] is None, name
                else:
                    torch.testing.assert_close(gradient[name], tensor, rtol=1e-6, atol=1e-9)


def test_alone_it_is_plain_backward() -> None:
    found, value = gradients("mlp", False, 3, steps=1)
    model, whole = build("mlp", 4), batch(Group())
    loss = F.cross_entropy(model(whole.inputs), whole.targets)
    loss.backward()
    assert value == pytest.approx(float(loss.detach()))
    for name, p in model.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-6, atol=1e-9)
