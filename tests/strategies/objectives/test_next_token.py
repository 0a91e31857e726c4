"""Next-token prediction against definitions written out token by token."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strategies.api.compatibility import Listed, refusals
from strategies.api.strategy_errors import StrategyError
from strategies.importance.fisher import diagonal_fisher
from strategies.metrics import find_score
from strategies.objectives.next_token import NextToken, NextTokenOptions
from strategies.registry import BUILT_IN
from tests.strategies.cases import TOKENS, learn, make_strategy
from tests.strategies.models import build
from tests.strategies.streams import VOCABULARY, token_stream

SAMPLES = token_stream()[0][0].train
WEIGHTS = pytest.mark.parametrize("weigh", ["tokens", "sequences"])


def objective(weigh: str = "tokens") -> NextToken:
    made = NextToken(NextTokenOptions.model_validate({"weigh": weigh}))
    made.begin(SAMPLES.targets, VOCABULARY)
    return made


def divisor(weigh: str, targets: Tensor) -> float:
    counts = (SAMPLES.targets >= 0).sum(1).double()
    return float(counts.mean()) if weigh == "tokens" else max(1, int((targets >= 0).sum()))


def log_likelihood(output: Tensor, targets: Tensor) -> Tensor:
    """Of one sequence: output (vocabulary, length), targets (length,)."""
    known = [place for place, token in enumerate(targets.tolist()) if token >= 0]
    return sum((F.log_softmax(output[:, p], 0)[int(targets[p])] for p in known), torch.zeros((), dtype=output.dtype))


@WEIGHTS
def test_the_loss_of_a_sequence_is_the_sum_over_its_tokens_divided_by_the_same_for_all(weigh: str) -> None:
    output = build("language", VOCABULARY)(SAMPLES.inputs).detach()
    expected = [-log_likelihood(o, t) / divisor(weigh, t) for o, t in zip(output, SAMPLES.targets, strict=True)]
    torch.testing.assert_close(objective(weigh).loss(output, SAMPLES.targets), torch.stack(expected))


def test_over_an_epoch_every_token_counts_the_same() -> None:
    output = build("language", VOCABULARY)(SAMPLES.inputs).detach()
    every = F.cross_entropy(output, SAMPLES.targets.long(), ignore_index=-1)
    torch.testing.assert_close(objective().mean(output, SAMPLES.targets), every)


@given(st.permutations(range(25)), st.integers(1, 24))
def test_the_parts_of_a_batch_add_up_whatever_they_are(order: list[int], cut: int) -> None:
    made, output = objective(), build("language", VOCABULARY)(SAMPLES.inputs).detach()
    parts = (torch.tensor(order[:cut]), torch.tensor(order[cut:]))
    found = sum(float(made.total(output[part], SAMPLES.targets[part])) for part in parts)
    assert math.isclose(found, float(made.total(output, SAMPLES.targets)), rel_tol=1e-12)


@WEIGHTS
def test_the_empirical_fisher_is_that_of_whole_sequences(weigh: str) -> None:
    model, rows = build("language", VOCABULARY), slice(0, 6)
    inputs, targets = SAMPLES.inputs[rows], SAMPLES.targets[rows]
    found = diagonal_fisher(model, inputs, targets=targets, objective=objective(weigh))
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for x, t in zip(inputs, targets, strict=True):
        value = log_likelihood(model(x[None])[0], t)
        gradients = torch.autograd.grad(value, list(model.parameters()))
        for name, gradient in zip(expected, gradients, strict=True):
            expected[name] += gradient**2 / divisor(weigh, t)
    torch.testing.assert_close(found, {name: value.detach() for name, value in expected.items()})


def test_the_distance_is_the_divergence_of_each_token_s_distribution() -> None:
    student, teacher = (build("language", VOCABULARY)(inputs).detach() for inputs in (SAMPLES.inputs, SAMPLES.inputs))
    student = student + torch.linspace(0, 1, VOCABULARY)[:, None] * (SAMPLES.inputs >= 0)[:, None]
    found = objective().distance(student, teacher, 2.0)
    for row in range(4):
        expected = 0.0
        for place in range(student.shape[2]):
            q, p = ((one[row, :, place] / 2).softmax(0) for one in (student, teacher))
            expected += float((p * (p / q).log()).sum())
        assert math.isclose(float(found[row]), 4 * expected / divisor("tokens", SAMPLES.targets[row]), rel_tol=1e-6)
    assert not objective().distance(teacher, teacher, 2.0).abs().gt(1e-12).any()
    assert objective().distance(student[:0], torch.zeros(0, VOCABULARY), 2.0).shape == (0,)


def test_scores_count_tokens() -> None:
    output = build("language", VOCABULARY)(SAMPLES.inputs).detach()
    values, truth = objective().tally(output, SAMPLES.targets)
    known = SAMPLES.targets >= 0
    mean = float(F.cross_entropy(output, SAMPLES.targets.long(), ignore_index=-1))
    right = float((output.argmax(1) == SAMPLES.targets)[known].double().mean())
    expected = {"negative_log_perplexity": -mean, "perplexity": math.exp(mean), "token_accuracy": right}
    for name, value in expected.items():
        score = find_score(name)
        assert score is not None
        assert score.value(values.double().numpy(), truth.double().numpy()) == pytest.approx(value, rel=1e-6)


def test_tokens_that_the_model_lacks_and_sequences_without_targets_are_refused() -> None:
    with pytest.raises(StrategyError, match="use the model's own tokenizer"):
        NextToken().begin(SAMPLES.targets, 3)
    with pytest.raises(StrategyError, match="no sequence"):
        NextToken().begin(torch.full((2, 3), -1, dtype=torch.int32), 3)


def test_every_strategy_learns_tokens_or_says_what_to_do() -> None:
    learned = {name for case in TOKENS for name, _ in case.strategies}
    for name in BUILT_IN:
        for options in ({}, {"estimate": "empirical"}) if name == "ewc" else ({},):
            strategy = make_strategy(name, options)
            refused = refusals([Listed(type(strategy), strategy.options)], "next-token", targets="tokens")
            assert all(": use {name" in text or ": set " in text for text in refused)
            assert bool(refused) or name in {*learned, "naive"}


def test_evaluation_takes_as_many_sequences_as_fit() -> None:
    made = objective()
    assert made.rows_at_once(SAMPLES, VOCABULARY, 1000) == 1000
    assert made.rows_at_once(SAMPLES, 1 << 20, 1000) == 12
    assert made.rows_at_once(SAMPLES, 1 << 40, 1000) == 1


def test_what_is_learned_is_the_text() -> None:
    case = next(case for case in TOKENS if "cumulative" in case.name)
    experiences, outputs = case.stream()
    learner = case.learner(outputs)
    learner.recorded = [score for score in (find_score("perplexity"),) if score is not None]
    before = learner.evaluate(experiences[:1])[0].scores["perplexity"]
    learner.learn(experiences[0], case.settings)
    assert learner.evaluate(experiences[:1])[0].scores["perplexity"] < before
    assert learn(case).counts == [[None] * 3] * 3
