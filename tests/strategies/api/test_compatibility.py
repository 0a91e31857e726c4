"""Every pair of registered strategies learns together, or says why not."""

from __future__ import annotations

import itertools

import pytest
import torch

from strategies.api.compatibility import refusals
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.registry import BUILT_IN
from tests.strategies.cases import QUICK, Case, make_strategy
from tests.strategies.models import build

# Architectures leave alone what they have learned; the others of the table would have nothing to hold on to.
ALONE = {
    "progressive": ("naive", "replay"),
    "packnet": ("naive", "replay"),
    "expand": ("naive", "replay", "der", "gem", "agem", "cumulative"),
}
REFUSED = {
    frozenset(pair)
    for pair in [
        ("cumulative", "gdumb"),
        ("cumulative", "icarl"),
        ("gem", "agem"),
        ("gem", "icarl"),
        ("agem", "icarl"),
        *(("gdumb", other) for other in ("ewc", "si", "mas", "lwf", "replay", "der", "gem", "agem", "icarl")),
        ("gdumb", "generative-replay"),
        *(("dann", other) for other in ("gdumb", "replay", "generative-replay")),
        *((name, other) for name, taken in ALONE.items() for other in BUILT_IN if other not in (*taken, name)),
    ]
}
PAIRS = list(itertools.combinations(BUILT_IN, 2))


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_a_pair_learns_or_is_refused_with_its_reason(pair: tuple[str, str]) -> None:
    for names in (pair, pair[::-1]):
        case = Case("pair", [(name, QUICK.get(name, {})) for name in names])
        experiences, outputs = case.stream()
        try:
            learner = case.learner(outputs)
            for experience in experiences:
                learner.learn(experience, case.settings, past=experiences[: experience.index])
        except StrategyError as refusal:
            assert all(name in str(refusal) for name in names)
            assert ":" in str(refusal), "a refusal names what to do instead"
            continue
        assert frozenset(pair) not in REFUSED
        untrained = build(case.model, outputs).state_dict()
        trained = learner.model.state_dict()
        assert all(tensor.isfinite().all() for tensor in trained.values())
        if trained.keys() == untrained.keys():  # no architecture is among them
            assert not any(torch.equal(trained[name], tensor) for name, tensor in untrained.items())


@pytest.mark.parametrize("pair", sorted(map(sorted, REFUSED)), ids="+".join)
def test_what_cannot_work_is_refused_before_it_starts(pair: list[str]) -> None:
    kinds = [type(make_strategy(name)) for name in pair]
    assert len(refusals(kinds)) == 1
    assert refusals(kinds) == refusals(kinds[::-1]) or all(name in refusals(kinds[::-1])[0] for name in pair)
    with pytest.raises(StrategyError):
        Learner(build("mlp", 6), [make_strategy(name) for name in pair], outputs=6)


def test_own_strategies_that_answer_the_same_question_are_refused() -> None:
    class Mine(Strategy):
        """Classifies its own way."""

        def predict(self, learner, inputs, experience):  # type: ignore[no-untyped-def]
            return inputs

    assert refusals([Mine, type(make_strategy("icarl"))]) == [
        "mine and icarl both choose how to classify: keep one of them"
    ]
    assert refusals([Mine, type(make_strategy("replay"))]) == []


def test_one_strategy_may_change_the_structure() -> None:
    class Growing(Strategy):
        """Changes the model."""

        def restructure(self, model, state):  # type: ignore[no-untyped-def]
            return model

    class Shrinking(Growing):
        """Changes it too."""

    assert refusals([Growing, Shrinking]) == [
        "growing and shrinking both change the model's structure: keep one of them"
    ]
    assert refusals([Growing, type(make_strategy("replay"))]) == []


def test_three_strategies_are_checked_pair_by_pair() -> None:
    assert len(refusals([type(make_strategy(name)) for name in ("gdumb", "ewc", "replay")])) == 2
