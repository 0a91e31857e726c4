"""Optimisers and schedulers by name, warm-up, and the optimiser's state as named tensors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.loop.train_settings import (
    OPTIMIZERS,
    TrainSettings,
    keeps_gradients,
    load_optimizer_state,
    make_optimizer,
    make_scheduler,
    optimizer_state,
)

STEPS = 12
SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 3},
    "CosineAnnealingLR": {},
    "LinearLR": {"start_factor": 1.0, "end_factor": 0.1},
    "PolynomialLR": {"power": 2.0},
    "ExponentialLR": {"gamma": 0.8},
    "OneCycleLR": {"max_lr": 0.9},
    "CosineAnnealingWarmRestarts": {"T_0": 4},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 3},
}


def rates(scheduler: str | None, warmup: int = 0, start: int = 0) -> list[float]:
    """The learning rate of each step from `start` on."""
    settings = TrainSettings(
        optimizer="sgd",
        optimizer_options={"lr": 0.5, "momentum": 0.9},
        scheduler=scheduler,
        scheduler_options=SCHEDULERS.get(scheduler or "", {}),
        warmup=warmup,
    )
    optimizer = make_optimizer(settings, [nn.Parameter(torch.zeros(1))])
    made = make_scheduler(settings, optimizer, STEPS, start)
    found = []
    for _ in range(start, STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if made is not None:
            made.step()
    return found


def test_by_default_the_rate_is_constant() -> None:
    assert rates(None) == [0.5] * STEPS


def test_lengths_are_those_of_the_experience() -> None:
    assert rates("CosineAnnealingLR") == pytest.approx([(1 + math.cos(math.pi * t / STEPS)) / 4 for t in range(STEPS)])
    assert rates("PolynomialLR") == pytest.approx([0.5 * (1 - t / STEPS) ** 2 for t in range(STEPS)])
    assert max(rates("OneCycleLR")) == pytest.approx(0.9, rel=0.1)


@pytest.mark.parametrize("scheduler", [None, *SCHEDULERS])
def test_warm_up_scales_whatever_the_scheduler_sets(scheduler: str | None) -> None:
    plain, warm = rates(scheduler), rates(scheduler, warmup=4)
    assert warm == pytest.approx([rate * min(1, (t + 1) / 5) for t, rate in enumerate(plain)])


@pytest.mark.parametrize("scheduler", [None, *SCHEDULERS])
@pytest.mark.parametrize("warmup", [0, 4])
def test_it_continues_anywhere_with_the_same_rates(scheduler: str | None, warmup: int) -> None:
    whole = rates(scheduler, warmup)
    assert all(rates(scheduler, warmup, start) == whole[start:] for start in range(STEPS + 1))


def test_what_torch_does_not_take_is_refused_by_name() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(StrategyError, match=r"train\.optimizer: .*momentun"):
        make_optimizer(TrainSettings(optimizer_options={"lr": 0.1, "momentun": 0.9}), parameters)
    with pytest.raises(StrategyError, match=r"train\.optimizer: .*fused.*foreach"):
        make_optimizer(TrainSettings(optimizer_options={"lr": 0.1, "fused": True, "foreach": True}), parameters)
    with pytest.raises(StrategyError, match=r"train\.optimizer: .*learning rate"):
        make_optimizer(TrainSettings(optimizer_options={"lr": -0.1}), parameters)
    optimizer = make_optimizer(TrainSettings(), parameters)
    for name in ("Cosine", "ReduceLROnPlateau", "Optimizer", "warnings"):
        with pytest.raises(StrategyError, match=f"no {name} that fits"):
            make_scheduler(TrainSettings(scheduler=name), optimizer, STEPS)
    with pytest.raises(StrategyError, match=r"train\.scheduler: .*step_size"):
        make_scheduler(TrainSettings(scheduler="StepLR"), optimizer, STEPS)


def train(optimizer: torch.optim.Optimizer, model: nn.Module, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        (model(torch.full((1, 3), step + 1.0)) ** 2).sum().backward()
        optimizer.step()


def small_model() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.linspace(-1, 1, p.numel()).view_as(p))
    return model


MOMENTUM, AMSGRAD = {"momentum": 0.9}, {"amsgrad": True}
KINDS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in OPTIMIZERS]
KINDS += [("sgd", MOMENTUM), ("rmsprop", MOMENTUM), ("adam", AMSGRAD), ("adamw", AMSGRAD)]


@pytest.mark.parametrize(("name", "options"), KINDS, ids=str)
def test_state_is_tensors_by_name_and_goes_round(name: str, options: dict[str, Any]) -> None:
    settings = TrainSettings(optimizer=name, optimizer_options={"lr": 0.01, **options})
    model = small_model()
    optimizer = make_optimizer(settings, model.parameters())
    train(optimizer, model, range(3))
    state = _copied(optimizer_state(optimizer, {p: n for n, p in model.named_parameters()}))
    assert {key.partition("/")[0] for key in state} <= {n for n, _ in model.named_parameters()}

    other = small_model()
    other.load_state_dict(model.state_dict())
    resumed = make_optimizer(settings, other.parameters())
    load_optimizer_state(resumed, dict(other.named_parameters()), state)
    train(optimizer, model, range(3, 6))
    train(resumed, other, range(3, 6))
    torch.testing.assert_close(dict(other.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
    assert not any(t.data_ptr() == s.data_ptr() for t in state.values() for p in resumed.state.values()
                   for s in p.values() if isinstance(s, Tensor))  # fmt: skip


ADDED = [("adam", "amsgrad", True), ("adamw", "amsgrad", True), ("rmsprop", "momentum", 0.9)]
ADDED += [("rmsprop", "centered", True), ("sgd", "momentum", 0.9)]


@pytest.mark.parametrize(("name", "option", "value"), ADDED)
def test_an_option_that_is_set_later_begins_with_nothing(name: str, option: str, value: Any) -> None:
    model = small_model()
    before = make_optimizer(TrainSettings(optimizer=name, optimizer_options={"lr": 0.01}), model.parameters())
    train(before, model, range(2))
    state = _copied(optimizer_state(before, {p: n for n, p in model.named_parameters()}))
    settings = TrainSettings(optimizer=name, optimizer_options={"lr": 0.01, option: value})
    later = make_optimizer(settings, model.parameters())
    load_optimizer_state(later, dict(model.named_parameters()), state)
    expected, start = small_model(), _copied(dict(model.state_dict()))
    expected.load_state_dict(start)
    fresh = make_optimizer(settings, expected.parameters())
    train(later, model, range(2, 3))
    train(fresh, expected, range(2, 3))  # of another state, but with all slots
    found = {slot for slots in later.state.values() for slot in slots}
    assert found == {slot for slots in fresh.state.values() for slot in slots}
    assert all(not torch.equal(p, start[n]) and p.isfinite().all() for n, p in model.named_parameters())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("implementation", [{"foreach": True}, {"foreach": False, "fused": False}, {"fused": True}])
def test_every_implementation_steps_alike(name: str, implementation: dict[str, bool]) -> None:
    if name == "rmsprop":
        implementation = {key: value for key, value in implementation.items() if key != "fused"}
    options = {"lr": 0.01, "weight_decay": 0.1}
    usual, other = small_model().double(), small_model().double()
    for model, more in ((usual, {}), (other, implementation)):
        optimizer = make_optimizer(TrainSettings(optimizer=name, optimizer_options=options | more), model.parameters())
        for step in range(3):
            optimizer.zero_grad()
            (model(torch.full((1, 3), step + 1.0, dtype=torch.float64)) ** 2).sum().backward()
            kept = [p.grad.clone() for p in model.parameters()]
            optimizer.step()
            if keeps_gradients(optimizer):
                assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), kept, strict=True))
    torch.testing.assert_close(dict(other.state_dict()), dict(usual.state_dict()), rtol=1e-9, atol=1e-12)


def test_an_implementation_that_changes_gradients_is_known() -> None:
    nesterov = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    parameters = [nn.Parameter(torch.zeros(2))]
    for more, keeps in (({"foreach": True}, False), ({}, True), ({"fused": True}, True)):
        settings = TrainSettings(optimizer="sgd", optimizer_options=nesterov | more)
        assert keeps_gradients(make_optimizer(settings, parameters)) is keeps


def test_state_of_parameters_that_are_gone_is_left_out() -> None:
    model = small_model()
    optimizer = make_optimizer(TrainSettings(), model.parameters())
    train(optimizer, model, range(1))
    model[1] = nn.Linear(2, 5)
    state = optimizer_state(optimizer, {p: n for n, p in model.named_parameters()})
    assert {key.partition("/")[0] for key in state} == {"0.weight", "0.bias"}


MOMENTA = [{}, {"nesterov": True}, {"weight_decay": 0.1}, {"dampening": 0.5}, {"maximize": True}]


@pytest.mark.parametrize("more", MOMENTA, ids=str)
@pytest.mark.parametrize("implementation", [{}, {"fused": True}, {"foreach": True}], ids=str)
def test_sgd_with_momentum_steps_as_torchs_loop_though_a_gradient_comes_late(
    more: dict[str, Any], implementation: dict[str, bool]
) -> None:
    found = []
    for chosen in ({"foreach": False, "fused": False}, implementation):
        model = small_model().double()
        options = {"lr": 0.01, "momentum": 0.9, **more, **chosen}
        optimizer = make_optimizer(TrainSettings(optimizer="sgd", optimizer_options=options), model.parameters())
        for step in range(5):
            optimizer.zero_grad()
            inputs = torch.full((1, 3), step + 1.0, dtype=torch.float64)
            ((model if step > 1 else model[0])(inputs) ** 2).sum().backward()
            optimizer.step()
        found.append(dict(model.state_dict()))
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-14)


def test_momentum_is_fused_but_with_dampening() -> None:
    for more, fused in (({}, True), ({"dampening": 0.5}, False), ({"dampening": 0.5, "fused": True}, False)):
        options = {"lr": 0.1, "momentum": 0.9, **more}
        optimizer = make_optimizer(
            TrainSettings(optimizer="sgd", optimizer_options=options), small_model().parameters()
        )
        assert optimizer.defaults["fused"] is fused


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_may_get_their_first_gradient_late(name: str) -> None:
    model = small_model()
    options = {"lr": 0.01} | ({"momentum": 0.9} if name in ("sgd", "rmsprop") else {})
    optimizer = make_optimizer(TrainSettings(optimizer=name, optimizer_options=options), model.parameters())
    model[0](torch.ones(1, 3)).sum().backward()
    optimizer.step()
    before = model[1].weight.detach().clone()
    train(optimizer, model, range(2))
    assert not torch.equal(model[1].weight, before)


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    assert all(isinstance(tensor, Tensor) for tensor in state.values())
    return {name: tensor.clone() for name, tensor in state.items()}
