"""Verdicts on capabilities, and how often they are wrong, by simulation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from pipelines.capabilities.capability_verdicts import (
    ALPHA,
    CapabilityChange,
    capability_verdicts,
    compare_answers,
    compare_likelihoods,
    holm,
)


@cache
def pair(items: int, lost: int, won: int) -> CapabilityChange:
    base, now = np.arange(items) < items - won, np.arange(items) >= lost
    return compare_answers(base, now, 0.05)


def shares(items: int, sets: int, lost: float, won: float, times: int = 1500) -> dict[str, float]:
    """How often any of some sets gets each verdict, if these shares of further items would be lost and won."""
    random = np.random.Generator(np.random.Philox(3))
    drawn = random.multinomial(items, [lost, won, 1 - lost - won], size=(times, sets))
    found = [
        {verdict for verdict, _ in capability_verdicts([pair(items, int(one[0]), int(one[1])) for one in row])}
        for row in drawn
    ]
    return {name: sum(name in one for one in found) / times for name in ("kept", "lost", "undecided")}


def within(alpha: float, times: int) -> float:
    """What a rate of `alpha` hardly exceeds in so many cases."""
    return alpha + 3 * (alpha * (1 - alpha) / times) ** 0.5


@pytest.mark.parametrize("items", [20, 240])
@pytest.mark.parametrize("sets", [1, 9])
def test_hardly_ever_is_what_is_as_good_called_lost(items: int, sets: int) -> None:
    # A plain threshold of 0.05 is wrong here in 15 % of cases with 20 items and one set, in 72 % with nine.
    assert shares(items, sets, 0.05, 0.05)["lost"] <= within(ALPHA, 1500)


@pytest.mark.parametrize("sets", [1, 9])
def test_hardly_ever_is_a_loss_of_the_margin_called_kept(sets: int) -> None:
    assert shares(240, sets, 0.08, 0.03)["kept"] <= within(ALPHA, 1500) + 0.01  # Tango's test is not exact


def test_what_240_items_show_20_cannot() -> None:
    assert shares(240, 1, 0.05, 0.05)["kept"] > 0.7
    assert shares(240, 1, 0.125, 0.025)["lost"] > 0.9
    few = shares(20, 1, 0.05, 0.05)
    assert few["undecided"] > 0.8
    assert [wanted for verdict, wanted in capability_verdicts([pair(20, 1, 1)]) if verdict == "undecided"] == [295]


def test_adjusted_p_values_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_a_loss_that_is_certain_and_small_is_none() -> None:
    change = pair(20_000, 300, 200)
    assert change.p_lost < 0.001 and capability_verdicts([change]) == [("kept", None)]
    assert capability_verdicts([pair(240, 30, 0)]) == [("lost", None)]


def texts(difference: float, draw: Callable[[int], np.ndarray], items: int) -> CapabilityChange:
    tokens = 20.0 + np.arange(items) % 7
    base = np.stack([-3 * tokens, tokens], 1)
    return compare_likelihoods(base, base + np.stack([tokens * (difference + draw(items)), 0 * tokens], 1), 0.05)


@pytest.mark.parametrize("skewed", [False, True])
def test_likelihoods_are_judged_as_surely(skewed: bool) -> None:
    random = np.random.Generator(np.random.Philox(4))

    def draw(items: int) -> np.ndarray:
        return 0.1 * (random.exponential(1, items) - 1 if skewed else random.normal(0, 1, items))

    same = [capability_verdicts([texts(0.0, draw, 30)])[0][0] for _ in range(120)]
    worse = [capability_verdicts([texts(-0.05, draw, 30)])[0][0] for _ in range(60)]
    assert same.count("lost") / 120 <= within(ALPHA, 120) and same.count("kept") / 120 > 0.5
    assert worse.count("kept") / 60 <= within(ALPHA, 60) and worse.count("lost") / 60 > 0.6


def test_likelihoods_of_models_that_differ_by_the_same_on_all_texts() -> None:
    def nothing(items: int) -> np.ndarray:
        return np.zeros(items)

    assert capability_verdicts([texts(0.0, nothing, 3)])[0][0] == "kept"
    assert capability_verdicts([texts(-0.1, nothing, 3)])[0][0] == "lost"
    assert capability_verdicts([texts(0.0, nothing, 1)]) == [("undecided", None)]
    many = texts(-0.01, np.random.Generator(np.random.Philox(1)).standard_normal, 3000)
    assert many.items == 3000 and many.spread == pytest.approx(1, rel=0.1)
