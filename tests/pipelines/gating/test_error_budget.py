"""The budget of false refusals: what all tests together may spend, and what a refusal gives back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.gating.error_budget import refusal_level, spending


def test_endless_tests_spend_less_than_the_budget() -> None:
    first = sum(spending(number) for number in range(1, 20_001))
    # The rest, by the integral of the spending sequence with u = sqrt(log number).
    u = math.sqrt(math.log(20_000))
    rest = 0.0722 * 2 * (u**3 + 3 * u**2 + 6 * u + 6) * math.exp(-u)
    assert 0.8 < first + rest <= 1
    assert all(spending(number) > 0 for number in (1, 10, 10**6))


def test_a_refusal_gives_budget_back() -> None:
    assert refusal_level(1, [], 0.05) == pytest.approx(0.025 * spending(1))
    assert refusal_level(100, [99], 0.05) > 20 * refusal_level(100, [], 0.05)
    assert refusal_level(100, [50, 99], 0.05) > refusal_level(100, [50], 0.05)
    assert refusal_level(7, [2, 5], 0.1) == refusal_level(7, [5, 2], 0.1)
    for refused in ([7], [0], [8]):
        with pytest.raises(ValueError, match="come before"):
            refusal_level(7, refused, 0.05)


def test_few_refusals_are_false_in_a_stream_of_good_and_bad_updates() -> None:
    """A tenth of 200 updates is bad, with a p-value near 1e-6: nearly all are refused, and few good ones."""
    shares, caught = [], []
    for seed in range(60):
        random = np.random.default_rng(seed)
        bad = random.random(200) < 0.1
        p_values = np.where(bad, random.random(200) * 1e-6, random.random(200))
        refused: list[int] = []
        for number, p_value in enumerate(p_values, start=1):
            if p_value <= refusal_level(number, refused, 0.1):
                refused.append(number)
        false = sum(not bad[number - 1] for number in refused)
        shares.append(false / max(1, len(refused)))
        caught.append((len(refused) - false) / max(1, bad.sum()))
    assert np.mean(shares) <= 0.1
    assert np.mean(caught) > 0.95
