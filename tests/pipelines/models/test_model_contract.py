"""What a model may return, and in which numbers it may compute."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.build_model import build_model
from pipelines.models.model_contract import check_model
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from tests.pipelines.models.own_models import Returning
from tests.strategies.streams import SHAPE, stream

OWN = "tests.pipelines.models.own_models:build"
EXAMPLE = torch.rand(2, *SHAPE)


def own(kind: str) -> nn.Module:
    return build_model(OWN, {"kind": kind}, SHAPE, 6, seed=0)


@pytest.mark.parametrize("kind", ["tuple", "in-training", "dict", "object"])
@pytest.mark.parametrize("training", [True, False])
def test_logits_are_found_and_the_rest_is_left_out(kind: str, training: bool) -> None:
    model, plain = own(kind).train(training), Returning(36, 6, "plain")
    check_model(model, EXAMPLE, 6)
    plain.load_state_dict(model.state_dict())
    for one in (model, copy.deepcopy(model)):
        found = one(EXAMPLE)
        assert isinstance(found, Tensor) and torch.equal(found, plain(EXAMPLE))
    assert model.training is training


def test_a_model_that_returns_a_tensor_carries_nothing_along() -> None:
    model = own("plain")
    assert model._forward_hooks
    check_model(model, EXAMPLE, 6)
    assert not model._forward_hooks


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("short", r"it has 5 outputs, and the stream needs 6: make its last layer"),
        ("long", r"it has 12 outputs, and the stream needs 6: make its last layer"),
        ("flat", r"returned a tensor of shape \(2,\) for 2 inputs: return the logits, a tensor \(2, 6\)"),
        ("unnamed", r"returned a dict with the keys features, answer in evaluation, in which the logits are not found"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_return(kind: str, said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        check_model(own(kind), EXAMPLE, 6)


def test_a_look_at_a_model_leaves_it_as_it_was() -> None:
    model = own("batchnorm")
    before, random_numbers = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    check_model(model, EXAMPLE, 6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_numbers)


@pytest.mark.parametrize(("kind", "dtype"), [("double", torch.float64), ("bfloat16", torch.bfloat16)])
def test_inputs_follow_the_numbers_of_the_model(kind: str, dtype: torch.dtype) -> None:
    experiences, outputs = stream("class-incremental")
    learner = Learner(own(kind), [], outputs=outputs)
    assert learner.example(experiences[0].train).dtype is dtype
    learner.learn(experiences[0], TrainSettings(2, None, 6, optimizer_options={"lr": 0.05}))
    assert {p.dtype for p in learner.model.parameters()} == {dtype}
    assert learner.evaluate(experiences[:1])[0].correct > 30


@pytest.mark.parametrize("kind", ["numpy", "random"])
def test_weights_drawn_from_numpy_or_random_are_those_of_the_seed(kind: str) -> None:
    first, second, other = own(kind), own(kind), build_model(OWN, {"kind": kind}, SHAPE, 6, seed=1)
    assert torch.equal(first[1].weight, second[1].weight)
    assert not torch.equal(first[1].weight, other[1].weight)
