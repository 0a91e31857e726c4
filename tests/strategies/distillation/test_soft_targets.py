"""Distillation losses against their definitions, unit by unit."""

import math

import pytest
import torch
import torch.nn.functional as F

from strategies.distillation.soft_targets import sigmoid_cross_entropy, softened_cross_entropy


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_softened_cross_entropy_is_that_of_hinton(temperature: float) -> None:
    output, teacher = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    found = softened_cross_entropy(output, teacher, temperature)
    assert found.shape == (5,)
    for n in range(5):
        p = [math.exp(v / temperature) for v in teacher[n].tolist()]
        q = [math.exp(v / temperature) for v in output[n].tolist()]
        expected = -sum(a / sum(p) * math.log(b / sum(q)) for a, b in zip(p, q, strict=True))
        assert float(found[n]) == pytest.approx(temperature**2 * expected)


def test_hard_targets_give_the_cross_entropy() -> None:
    output, targets = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    certain = F.one_hot(targets, 4).float() * 1000
    torch.testing.assert_close(
        softened_cross_entropy(output, certain, 1.0), F.cross_entropy(output, targets, reduction="none")
    )


def test_nothing_is_closer_to_the_teacher_than_the_teacher() -> None:
    teacher = torch.randn(4, 3)
    least = softened_cross_entropy(teacher, teacher, 2.0)
    assert bool((softened_cross_entropy(teacher + torch.randn(4, 3), teacher, 2.0) > least).all())


def test_binary_cross_entropies_add_up_over_the_units() -> None:
    output, targets = (
        torch.randn(3, 2, dtype=torch.float64),
        torch.tensor([[0.0, 1.0], [0.3, 0.6], [1.0, 1.0]]).double(),
    )
    found = sigmoid_cross_entropy(output, targets)
    for n in range(3):
        p = output[n].sigmoid()
        expected = -(targets[n] * p.log() + (1 - targets[n]) * (1 - p).log()).sum()
        assert float(found[n]) == pytest.approx(float(expected))
