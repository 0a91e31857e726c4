"""Train now or not, and why: a table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.updates.training_due import Past, Pending, budget_left, training_due
from pipelines.config.sections.update_section import UpdateSpec

HOUR = 3600.0
NOW = 1000 * HOUR
ONE = Pending((7,), 100)
DRIFTED = Pending((7,), 100, ("experience 7: inputs differ by 0.300",))
WORSE = Pending((7,), 100, ("errors grew from 0.100 to 0.300",), "errors grew from 0.100 to 0.300")
LONG_AGO, JUST_NOW = Past(NOW - 100 * HOUR), Past(NOW - 60)
BUDGET = {"budget": {"worker_hours": 2.0, "per": "1d"}}
SPENT = Past(NOW - 100 * HOUR, [(NOW - HOUR, 1.5 * HOUR), (NOW - 5 * HOUR, 0.5 * HOUR)])
LATER = Past(NOW - 100 * HOUR, [(NOW - HOUR, 1.5 * HOUR), (NOW - 25 * HOUR, 0.5 * HOUR)])
RETUNE = {"retune": {"on": "errors", "trials": 5}}


@pytest.mark.parametrize(
    ("update", "pending", "past", "train", "rule", "words"),
    [
        ({"when": "drift"}, ONE, Past(), True, "first", "no model yet"),
        ({"when": {"rows": 999}, **BUDGET}, ONE, Past(None, SPENT.spent), True, "first", "no model yet"),
        ({}, ONE, LONG_AGO, True, "any", "1 experience waits"),
        ({}, Pending((7, 8), 10), LONG_AGO, True, "any", "2 experiences wait"),
        ({"when": "drift"}, ONE, LONG_AGO, False, "drift", "like what was learned"),
        ({"when": "drift"}, DRIFTED, LONG_AGO, True, "drift", "inputs differ"),
        ({"when": "drift"}, WORSE, LONG_AGO, True, "drift", "errors grew"),
        ({"when": {"rows": 101}}, DRIFTED, LONG_AGO, False, "rows", "100 of 101 rows wait"),
        ({"when": {"rows": 100}}, ONE, LONG_AGO, True, "rows", "100 of 100 rows wait"),
        ({"when": {"every": "1d"}}, ONE, JUST_NOW, False, "every", "less than 1d ago"),
        ({"when": {"every": "1d"}}, ONE, LONG_AGO, True, "every", "at least 1d ago"),
        ({"cooldown": "2m"}, ONE, JUST_NOW, False, "cooldown", "less than 2m ago (1 experience waits)"),
        ({"cooldown": "1m"}, ONE, JUST_NOW, True, "any", "1 experience waits"),
        ({"when": "drift", "cooldown": "2m"}, DRIFTED, JUST_NOW, False, "cooldown", "inputs differ"),
        ({"when": "drift", "cooldown": "2m"}, ONE, JUST_NOW, False, "drift", "like what was learned"),
        (BUDGET, ONE, SPENT, False, "budget", "2 worker hours per 1d is spent"),
        (BUDGET, ONE, LATER, True, "any", "1 experience waits"),
        ({**BUDGET, "cooldown": "10d"}, ONE, SPENT, False, "cooldown", "less than 10d"),
    ],
)
def test_the_decision(update: Any, pending: Pending, past: Past, train: bool, rule: str, words: str) -> None:
    due = training_due(UpdateSpec.model_validate(update), pending, past, NOW)
    assert (due.train, due.rule) == (train, rule)
    assert words in due.reason


@pytest.mark.parametrize(
    ("update", "pending", "past", "trials", "budget"),
    [
        (RETUNE, ONE, LONG_AGO, 0, None),
        (RETUNE, DRIFTED, LONG_AGO, 0, None),  # the inputs have changed, and the model answers as well as before
        (RETUNE, WORSE, LONG_AGO, 5, None),
        ({**RETUNE, **BUDGET}, WORSE, LATER, 5, 0.5 * HOUR),
        ({**RETUNE, **BUDGET}, WORSE, SPENT, 0, None),
        ({**RETUNE, "when": {"rows": 999}}, WORSE, LONG_AGO, 0, None),
        (BUDGET, WORSE, LATER, 0, 0.5 * HOUR),
        (RETUNE, WORSE, Past(), 0, None),
    ],
)
def test_settings_are_searched_where_errors_grow(
    update: Any, pending: Pending, past: Past, trials: int, budget: float | None
) -> None:
    due = training_due(UpdateSpec.model_validate(update), pending, past, NOW)
    assert (due.retune, due.budget) == (trials, budget)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 3)), max_size=8),
    st.floats(0.1, 5),
    st.floats(0, 200),
    st.floats(0, 50),
)
def test_a_budget_is_the_same_in_any_order_and_comes_back_with_time(
    spent: list[tuple[float, float]], hours: float, now: float, later: float
) -> None:
    """Nothing is spent twice, and what is older than `per` does not count: waiting never leaves less."""
    spec = UpdateSpec.model_validate({"budget": {"worker_hours": hours, "per": "1d"}})
    seconds = [(ended * HOUR, work * HOUR) for ended, work in spent]
    left = budget_left(spec, Past(0.0, seconds), now * HOUR)
    assert left is not None and left <= hours * HOUR
    again = budget_left(spec, Past(0.0, seconds[::-1]), now * HOUR)
    assert again == pytest.approx(left, abs=1e-6)
    after = budget_left(spec, Past(0.0, seconds), (now + later) * HOUR)
    assert after is not None and after >= left - 1e-6
