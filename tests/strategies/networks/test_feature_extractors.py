"""A network whose features grow."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from strategies.networks.feature_extractors import Extractors
from tests.strategies.models import batch_norm, mlp

INPUTS = torch.rand(3, 1, 6, 6)


def extractors(count: int = 1, model: nn.Module | None = None, head: str = "3") -> Extractors:
    torch.manual_seed(0)
    network = Extractors(model or mlp(6), head)
    for k in range(count - 1):
        network.grow(2, seed=10 * k, who="me")
        with torch.no_grad():
            network.heads[-1].get_parameter("weight").normal_()
    return network


def test_one_extractor_is_the_model() -> None:
    torch.manual_seed(0)
    model = mlp(6)
    expected = model(INPUTS)
    torch.testing.assert_close(Extractors(model, "3")(INPUTS), expected)


def test_the_head_goes_over_the_features_of_all() -> None:
    network = extractors(3).eval()
    features = torch.cat([extractor(INPUTS) for extractor in network.extractors], 1)
    weight = torch.cat([head.get_parameter("weight") for head in network.heads], 1)
    torch.testing.assert_close(network(INPUTS), F.linear(features, weight, network.heads[0].get_parameter("bias")))


def test_growing_changes_no_answer_and_draws_from_the_seed() -> None:
    one, two = extractors(2), extractors(2)
    before = one.eval()(INPUTS)
    for network, seed in ((one, 7), (two, 8)):
        network.grow(2, seed, "me")
    assert torch.equal(one.eval()(INPUTS), before)
    drawn = [network.extractors[-1].get_parameter("1.weight") for network in (one, two)]
    assert not torch.equal(*drawn)
    assert one.auxiliary is not None and one.auxiliary.weight.shape == (3, 16)


def test_only_the_newest_learns_until_all_are_frozen() -> None:
    network = extractors(2, batch_norm(6), "8").train()
    learns = [{p.requires_grad for p in extractor.parameters()} for extractor in network.extractors]
    assert learns == [{False}, {True}]
    assert [extractor.training for extractor in network.extractors] == [False, True]
    network(INPUTS)
    assert network.newest is not None and network.newest.shape == (3, 8)
    network.freeze(growing=False)
    assert not any(p.requires_grad for p in network.extractors.parameters())
    assert not any(extractor.training for extractor in network.extractors)
    assert network.auxiliary is None and all(p.requires_grad for p in network.heads.parameters())
    network(INPUTS)
    assert network.newest is None


@pytest.mark.parametrize("growing", [False, True])
def test_a_stored_state_brings_another_to_the_same_answers(growing: bool) -> None:
    network, other = extractors(3), extractors()
    network.freeze(growing=growing)
    state = network.state_dict()
    other.restore(state)
    other.load_state_dict(state)
    assert torch.equal(other.eval()(INPUTS), network.eval()(INPUTS))
    assert (other.auxiliary is None) == (network.auxiliary is None)
    frozen = [[p.requires_grad for p in one.extractors.parameters()] for one in (network, other)]
    assert frozen[0] == frozen[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("heads.1.weight", None),
        ("extractors.2.1.weight", torch.zeros(16, 35)),
        ("growing", None),
        ("growing", torch.tensor(1)),
        ("growing", torch.tensor([True])),
        ("auxiliary.weight", torch.zeros(16)),
        ("auxiliary.weight", torch.zeros(1, 16)),
        ("auxiliary.weight", torch.zeros(99, 16)),
    ],
)
def test_a_state_that_does_not_fit_is_refused(name: str, value: torch.Tensor | None) -> None:
    state = dict(extractors(3).state_dict())
    del state[name]
    if value is not None:
        state[name] = value
    with pytest.raises(ValueError):
        extractors().restore(state)
