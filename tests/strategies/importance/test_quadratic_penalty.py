"""The merged quadratic against the sum of all its anchors, written out and differentiated by autograd."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from strategies.importance.quadratic_penalty import QuadraticPenalty
from tests.strategies.definitions import Named, penalty_gradient


def model(seed: int = 0) -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    move(made, seed)
    return made


def move(model: nn.Module, seed: int) -> Named:
    """Give the model other parameters, and return a copy."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def importance(model: nn.Module, seed: int) -> Named:
    """Importances with many zeros, as those of dead units."""
    generator = torch.Generator().manual_seed(1000 + seed)
    draws = {
        name: torch.rand(p.shape, generator=generator, dtype=torch.float64) * 2 - 0.7
        for name, p in model.named_parameters()
    }
    return {name: draw.clamp(min=0) for name, draw in draws.items()}


def gradients(model: nn.Module) -> Named:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def anchored(anchors: int) -> tuple[nn.Module, QuadraticPenalty, list[tuple[Named, Named]]]:
    learner, penalty, history = model(), QuadraticPenalty(), []
    for k in range(anchors):
        theta, f = move(learner, k), importance(learner, k)
        penalty.add(learner, f)
        history.append((f, theta))
    return learner, penalty, history


@given(st.integers(1, 6), st.floats(0.01, 1e9))
def test_merged_anchors_pull_like_the_sum_of_all(anchors: int, strength: float) -> None:
    learner, penalty, history = anchored(anchors)
    for place in (100, 101):
        move(learner, place)
        learner.zero_grad()
        penalty.add_gradient_(learner, strength)
        _, expected = penalty_gradient(dict(learner.named_parameters()), [(strength / 2, *a) for a in history])
        torch.testing.assert_close(gradients(learner), expected, rtol=1e-9, atol=1e-9 * strength)


def test_its_value_is_that_of_the_sum_up_to_a_constant() -> None:
    learner, penalty, history = anchored(4)
    differences = []
    for place in (100, 101, 102):
        move(learner, place)
        written_out, _ = penalty_gradient(dict(learner.named_parameters()), [(3.0 / 2, *a) for a in history])
        differences.append(written_out - penalty.value(learner, 3.0))
    torch.testing.assert_close(torch.tensor(differences), torch.tensor(differences[:1] * 3))
    assert differences[0] > 0


@given(st.integers(1, 5), st.floats(0, 1))
def test_replacing_decays_the_importance_around_the_latest_parameters(anchors: int, gamma: float) -> None:
    learner, penalty = model(), QuadraticPenalty()
    history = []
    for k in range(anchors):
        theta, f = move(learner, k), importance(learner, k)
        penalty.replace(learner, f, gamma)
        history.append(f)
    move(learner, 100)
    penalty.add_gradient_(learner, 7.0)
    decayed = [(3.5 * gamma ** (anchors - 1 - k), f, theta) for k, f in enumerate(history)]
    _, expected = penalty_gradient(dict(learner.named_parameters()), decayed)
    torch.testing.assert_close(gradients(learner), expected, rtol=1e-9, atol=1e-12)


def test_it_adds_to_the_gradients_there_are() -> None:
    learner, penalty, history = anchored(2)
    move(learner, 100)
    for p in learner.parameters():
        p.grad = torch.ones_like(p)
    penalty.add_gradient_(learner, 1.0)
    _, pull = penalty_gradient(dict(learner.named_parameters()), [(0.5, *a) for a in history])
    torch.testing.assert_close(gradients(learner), {name: g + 1 for name, g in pull.items()})


def test_before_the_first_anchor_and_without_strength_it_does_nothing() -> None:
    learner = model()
    QuadraticPenalty().add_gradient_(learner, 5.0)
    anchored_learner, penalty, _ = anchored(1)
    penalty.add_gradient_(anchored_learner, 0.0)
    assert gradients(learner) == gradients(anchored_learner) == {}
    assert QuadraticPenalty().value(learner, 5.0) == 0.0


def test_frozen_parameters_and_new_ones_are_left_alone() -> None:
    learner, penalty, _ = anchored(1)
    move(learner, 100)
    learner[0].weight.requires_grad_(False)
    learner.add_module("3", nn.Linear(2, 2).double())
    penalty.add_gradient_(learner, 1.0)
    assert gradients(learner).keys() == {"0.bias", "2.weight", "2.bias"}


def test_a_parameter_that_comes_later_is_anchored_from_then_on() -> None:
    learner, penalty, history = anchored(2)
    learner.add_module("3", nn.Linear(2, 2).double())
    theta, f = move(learner, 2), importance(learner, 2)
    penalty.add(learner, f)
    move(learner, 100)
    penalty.add_gradient_(learner, 2.0)
    _, expected = penalty_gradient(dict(learner.named_parameters()), [(1.0, *a) for a in [*history, (f, theta)]])
    torch.testing.assert_close(gradients(learner), expected)


def test_cost_and_state_do_not_grow_with_the_anchors() -> None:
    def shapes(anchors: int) -> dict[str, torch.Size]:
        return {name: tensor.shape for name, tensor in anchored(anchors)[1].state_dict().items()}

    assert shapes(1) == shapes(50)
    assert len(shapes(1)) == 2 * len(list(model().parameters()))


def test_single_precision_bears_a_large_strength() -> None:
    """sum F theta - theta sum F, the other way to merge, would lose most digits here."""
    _, _, history = anchored(4)
    single, penalty = model().float(), QuadraticPenalty()
    for f, theta in history:
        single.load_state_dict(_float(theta))
        penalty.add(single, _float(f))
    with torch.no_grad():
        for p in single.parameters():
            p += 1e-3
    penalty.add_gradient_(single, 1e9)
    place = {name: p.double() for name, p in single.named_parameters()}
    _, expected = penalty_gradient(place, [(5e8, *anchor) for anchor in history])
    for name, gradient in gradients(single).items():
        assert (gradient.double() - expected[name]).abs().max() < 1e-5 * expected[name].abs().max()


def test_state_goes_round() -> None:
    learner, penalty, _ = anchored(3)
    other = QuadraticPenalty()
    other.load_state_dict({name: tensor.clone() for name, tensor in penalty.state_dict().items()})
    torch.testing.assert_close(other.state_dict(), penalty.state_dict(), rtol=0, atol=0)
    move(learner, 100)
    assert other.value(learner, 1.0) == penalty.value(learner, 1.0)


def _float(tensors: Named) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in tensors.items()}
