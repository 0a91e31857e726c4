"""How certain a refusal must be when updates never end: a budget of false refusals for the whole stream.

A test at 5 % refuses one of twenty good updates. Here the levels of all tests together are bounded: while no update was
refused, the probability that any of endlessly many good ones is refused is at most half of the budget, however the
tests depend on one another (the levels add up to it). Each refusal gives some budget back, so that a stream with real
regressions keeps its power; the expected share of false ones among the refusals is then at most the budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_SCALE = 0.0722


def refusal_level(number: int, refused: Sequence[int], budget: float) -> float:
    """The level of the next test.

    Source: Ramdas, Yang, Wainwright & Jordan 2017, "Online control of the false discovery rate with decaying memory"
    (LORD++); the spending sequence of Javanmard & Montanari 2018, equation 31.

    Args:
        number: of the test, from 1.
        refused: numbers of the earlier tests that refused.
        budget: 0 to 1, 1 - confidence.

    Raises:
        ValueError: a refused test is not an earlier one.
    """
    if number < 1 or any(not 1 <= earlier < number for earlier in refused):
        raise ValueError("refused tests come before the one whose level is asked for, and are counted from 1")
    half = budget / 2
    level = half * spending(number)
    for place, earlier in enumerate(sorted(refused)):
        level += (budget - half if not place else budget) * spending(number - earlier)
    return level


def spending(number: int) -> float:
    """The part of a budget that test `number` spends, from 1; all parts together make less than 1."""
    return _SCALE * math.log(max(number, 2)) / (number * math.exp(math.sqrt(math.log(number))))
