"""Tests of two samples: equal to scipy's and to a brute-force computation, with the stated rate of false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from pipelines.drift.two_sample import TESTS, ks_statistics, maximum_mean_discrepancy


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**20), st.booleans())
def test_ks_statistics_are_those_of_scipy(n: int, m: int, columns: int, seed: int, tied: bool) -> None:
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(n, columns)), random.normal(0.5, 1, size=(m, columns))
    if tied:
        first, second = first.round(), second.round()
    expected = [ks_2samp(first[:, c], second[:, c]).statistic for c in range(columns)]
    np.testing.assert_allclose(ks_statistics(first, second), expected, atol=1e-12)


def test_mmd_is_the_sum_over_pairs_of_gretton() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(size=(7, 2)), random.normal(1.0, 1, size=(5, 2))
    pooled = np.concatenate([first, second])
    squared = ((pooled[:, None] - pooled[None]) ** 2).sum(-1)
    median = np.median([squared[i, j] for i in range(12) for j in range(i + 1, 12)])

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.exp(-((x - y) ** 2).sum() / median))

    within = sum(kernel(x, y) for i, x in enumerate(first) for j, y in enumerate(first) if i != j) / (7 * 6)
    within += sum(kernel(x, y) for i, x in enumerate(second) for j, y in enumerate(second) if i != j) / (5 * 4)
    between = sum(kernel(x, y) for x in first for y in second) / 35
    assert maximum_mean_discrepancy(first, second).effect == pytest.approx(np.sqrt(max(0, within - 2 * between)))


@pytest.mark.parametrize("name", TESTS)
def test_equal_distributions_alarm_as_rarely_as_stated(name: str) -> None:
    """100 pairs at a level of 0.1: above 19 alarms has a probability below 0.3 % (binomial)."""
    random = np.random.default_rng(2)
    alarms = 0
    for seed in range(100):
        first, second = random.normal(size=(120, 3)), random.normal(size=(80, 3))
        alarms += TESTS[name].compare(first, second, seed).p_value < 0.1
    assert alarms <= 19


@pytest.mark.parametrize("name", TESTS)
def test_the_effect_grows_with_the_distance_and_the_p_value_falls_with_it(name: str) -> None:
    random = np.random.default_rng(3)
    first, noise = random.normal(size=(400, 2)), random.normal(size=(300, 2))
    results = [TESTS[name].compare(first, noise + shift, 0) for shift in (0.0, 0.5, 1.5, 4.0)]
    effects, p_values = [r.effect for r in results], [r.p_value for r in results]
    assert effects == sorted(effects) and effects[0] < 0.12 and effects[-1] > 0.6
    assert p_values[0] > 0.01 > p_values[1] >= p_values[-1]
    assert all(0 <= effect <= 2**0.5 for effect in effects)


def test_a_million_rows_alarm_as_rarely_as_stated() -> None:
    """4 pairs at a level of 0.05: above 1 alarm has a probability of 1.4 % (binomial)."""
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(4):
        found = TESTS["ks"].compare(random.normal(size=(1_000_000, 1)), random.normal(size=(100_000, 1)), 0)
        alarms += found.p_value < 0.05
        assert found.effect < 0.006
    assert alarms <= 1
