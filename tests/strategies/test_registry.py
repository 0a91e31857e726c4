"""Every built-in strategy can be listed, made and explained."""

from __future__ import annotations

import subprocess
import sys

import pytest

from strategies.api.compatibility import Listed, warnings
from strategies.api.guide import SETTINGS, Guide
from strategies.api.strategy import Strategy
from strategies.registry import BUILT_IN
from tests.strategies.cases import make_strategy


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_strategy_says_what_it_is(name: str) -> None:
    strategy = make_strategy(name)
    kind = type(strategy)
    assert kind.name == name
    assert kind.family != Strategy.family
    assert 10 < len(kind.summary) < 100
    assert any(character.isdigit() for character in kind.paper), "a paper has a year"
    assert kind.__doc__
    for option, field in kind.Options.model_fields.items():
        assert len(field.description or "") > 10, option


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_strategy_says_what_it_costs_and_when_to_use_it(name: str) -> None:
    kind = type(make_strategy(name))
    guide = kind.__dict__.get("guide")
    assert isinstance(guide, Guide), f"{name} needs a guide of its own (see strategies.api.guide)"
    for text in (guide.time, guide.memory, guide.use_when):
        assert 4 <= len(text) <= 110 and not text.endswith("."), text


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_problem_comes_with_a_remedy(name: str) -> None:
    kind = type(make_strategy(name))
    for setting in SETTINGS:
        for problem in warnings([Listed(kind)], setting)[0]:
            assert problem.startswith(name)
            assert any(word in problem for word in ("add", "use", "set", "give"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_state_that_is_kept_says_how_ranks_are_combined(name: str) -> None:
    """A name in `state_dict` begins with a statistic that is declared; nothing is kept before the first experience."""
    assert not make_strategy(name).state_dict()


def test_the_table_imports_nothing() -> None:
    code = "import sys, strategies.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
