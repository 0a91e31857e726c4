"""Prompt tuning: what learns, and progressive prompts.

Covers: `strategies/adapters/prompted_network.py`.
"""

from __future__ import annotations

import pytest
import torch

from strategies.adapters.prompted_network import PromptedNetwork
from strategies.adapters.soft_prompts import PromptedModel
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.methods.prompt import Prompt, PromptPerExperience
from tests.strategies.cases import Case, learn, make_strategy
from tests.strategies.models import build
from tests.strategies.streams import VOCABULARY

TEXTS = Case("prompt", [("prompt", {"length": 3})], model="language", learns="next-token")


def learned(case: Case, experiences: int) -> Learner:
    steps, outputs = case.stream()
    learner = case.learner(outputs)
    for step in steps[:experiences]:
        learner.learn(step, case.settings)
    return learner


def test_of_a_language_model_the_prompt_alone_learns() -> None:
    learner = learned(TEXTS, 1)
    model = learner.model
    assert isinstance(model, PromptedModel)
    state = learner.state_dict()
    assert set(state["model"]) == {"body.embedding.prompts.stream"}
    plain = build("language", VOCABULARY).state_dict()
    found = {n.removeprefix("body.").replace(".base_layer", ""): t for n, t in state["model.base"].items()}
    assert found.keys() == plain.keys() and all(torch.equal(found[name], plain[name]) for name in plain)


def test_a_prompt_for_each_experience_forgets_exactly_nothing_and_earlier_ones_never_change() -> None:
    case = Case("prompt", [("prompt", {"per": "experience"})], "task-incremental")
    counts = learn(case).counts
    assert [row[0] for row in counts] == [counts[0][0]] * 3
    assert counts[2][1] == counts[1][1]
    before, after = learned(case, 1).state_dict(), learned(case, 3).state_dict()
    assert isinstance(learned(case, 1).model, PromptedNetwork)
    for part in ("model.base", "model.adapter.0"):
        torch.testing.assert_close(after[part], before[part], rtol=0, atol=0)


def test_a_text_that_gets_too_long_for_the_model_is_refused_with_the_remedy() -> None:
    class Short(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build("language", VOCABULARY)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            if tokens.shape[1] > 6:
                raise IndexError("index out of range in self")
            output: torch.Tensor = self.body(tokens)
            return output

    steps, outputs = TEXTS.stream()
    learner = TEXTS.learner(outputs)
    learner.model = Short()
    with pytest.raises(StrategyError, match=r"lower stream\.dataset\.max_length"):
        learner.learn(steps[0], TEXTS.settings)


def test_the_option_per_chooses_the_variant() -> None:
    assert type(make_strategy("prompt", {})) is Prompt
    assert type(make_strategy("prompt", {"per": "experience"})) is PromptPerExperience
