"""The frozen copy that distillation learns from."""

import torch
from torch import nn

from strategies.distillation.teacher import Teacher
from strategies.loop.learner import Learner
from strategies.methods.naive import Naive
from tests.strategies.models import build


def learner(model: str = "mlp-float32") -> Learner:
    return Learner(build(model, 4), [Naive()], outputs=4)


def test_it_answers_as_the_model_did_when_it_was_taken() -> None:
    made, teacher, inputs = learner(), Teacher(), torch.rand(3, 1, 6, 6)
    assert not teacher
    before = made.model.eval()(inputs).detach()
    teacher.take(made.model)
    assert teacher
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(1.0)
    assert torch.equal(teacher(made, inputs), before)
    assert not torch.equal(made.model(inputs), before)


def test_it_is_in_evaluation_mode_without_gradients_and_leaves_the_model_as_it_was() -> None:
    made, teacher = learner("dropout"), Teacher()
    made.model.train()
    teacher.take(made.model)
    inputs = torch.rand(3, 1, 6, 6)
    output = teacher(made, inputs)
    assert torch.equal(output, teacher(made, inputs)) and not output.requires_grad
    assert made.model.training and all(p.requires_grad for p in made.model.parameters())


def test_its_state_brings_another_to_the_same_answers() -> None:
    made, first, second, inputs = learner(), Teacher(), Teacher(), torch.rand(3, 1, 6, 6)
    assert first.state_dict() == {}
    first.take(made.model)
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert set(state) == {f"teacher.{name}" for name in made.model.state_dict()}
    expected = first(made, inputs)
    with torch.no_grad():
        for module in made.model.modules():
            if isinstance(module, nn.Linear):
                module.weight.zero_()
    second.load_state_dict({**state, "another": torch.zeros(1)})
    # Kept as it was read, also before it was asked.
    assert second and second.state_dict().keys() == state.keys()
    assert torch.equal(second(made, inputs), expected)
    second.load_state_dict({})
    assert not second
