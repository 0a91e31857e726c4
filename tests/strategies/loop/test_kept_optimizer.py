"""The optimiser's state from one experience to the next."""

import torch
from torch import nn

from strategies.loop.kept_optimizer import KeptOptimizer
from strategies.loop.train_settings import TrainSettings

ADAM = TrainSettings(optimizer="adam")
SGD = TrainSettings(optimizer="sgd", optimizer_options={"lr": 0.1, "momentum": 0.9})


def stepped(kept: KeptOptimizer, model: nn.Module, settings: TrainSettings, *, keep: bool = True) -> None:
    optimizer = kept.prepare(model, settings, keep=keep)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def steps(kept: KeptOptimizer, model: nn.Module) -> float:
    return float(kept.state(model)["weight/step"])


def test_the_state_carries_over_between_optimisers_of_one_kind() -> None:
    kept, model = KeptOptimizer(), nn.Linear(3, 2)
    assert kept.state(model) == {}
    stepped(kept, model, ADAM)
    stepped(kept, model, TrainSettings(optimizer="adam", optimizer_options={"lr": 0.5}))
    assert steps(kept, model) == 2
    stepped(kept, model, ADAM, keep=False)
    assert steps(kept, model) == 1
    stepped(kept, model, SGD)
    assert {name.rpartition("/")[2] for name in kept.state(model)} == {"momentum_buffer"}
    kept.reset()
    assert kept.state(model) == {}
    stepped(kept, model, ADAM)
    assert steps(kept, model) == 1


def test_a_loaded_state_is_taken_by_the_next_of_its_kind() -> None:
    first, second, third, model = KeptOptimizer(), KeptOptimizer(), KeptOptimizer(), nn.Linear(3, 2)
    stepped(first, model, ADAM)
    state = {name: tensor.clone() for name, tensor in first.state(model).items()}
    second.load(state, "adam")
    assert second.state(model).keys() == state.keys()
    stepped(second, model, ADAM)
    assert steps(second, model) == 2
    third.load(state, "adam")
    stepped(third, model, SGD)
    assert not {name for name in third.state(model) if name.endswith("/step")}


def test_only_what_learns_is_optimised_and_a_parameter_that_is_gone_is_forgotten() -> None:
    kept, model = KeptOptimizer(), nn.Linear(3, 2)
    stepped(kept, model, ADAM)
    model.bias.requires_grad_(False)
    optimizer = kept.prepare(model, ADAM, keep=True)
    assert [p for group in optimizer.param_groups for p in group["params"]] == [model.weight]
    assert {name.partition("/")[0] for name in kept.state(model)} == {"weight"}
