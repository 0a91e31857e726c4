"""Change of single columns: scipy's distances, indices by hand, and what chance alone gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from pipelines.drift.column_change import population_stability, wasserstein


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**20), st.booleans())
def test_wasserstein_distances_are_those_of_scipy(n: int, m: int, seed: int, tied: bool) -> None:
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(n, 2)), random.normal(0.5, 2, size=(m, 2))
    if tied:
        first, second = first.round(), second.round()
    spread = first.std(axis=0)
    expected = [wasserstein_distance(first[:, c], second[:, c]) / (spread[c] or 1) for c in range(2)]
    np.testing.assert_allclose(wasserstein(first, second), expected, atol=1e-12)


def test_the_index_by_hand() -> None:
    """Halves of 50 and 50, and of 20 and 80: with half a row in each, shares of 1/2 and of 20.5/101, 80.5/101."""
    first, second = np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [20, 80])
    shares = np.array([20.5, 80.5]) / 101
    expected = ((shares - 0.5) * np.log(shares / 0.5)).sum()
    assert population_stability(first[:, None], second[:, None], bins=2) == pytest.approx([expected])
    assert population_stability(first[:, None], np.repeat(first, 2)[:, None], bins=2)[0] < 1e-4


@pytest.mark.parametrize("size", [100, 1000, 100_000])
def test_without_a_change_the_index_is_what_chance_gives(size: int) -> None:
    """Its mean is about 9 (1/n + 1/m) for ten bins; with 100 rows that is above what counts as stable."""
    random = np.random.default_rng(size)
    found = np.mean(
        [population_stability(random.normal(size=(size, 3)), random.normal(size=(size, 3))) for _ in range(20)]
    )
    assert found == pytest.approx(9 * 2 / size, rel=0.4)


def test_both_grow_with_the_shift_and_name_the_column() -> None:
    random = np.random.default_rng(0)
    first = random.normal(0, 3, size=(2000, 3))
    moved = [first + np.array([0, shift, 0]) for shift in (0.0, 0.3, 1.5, 6.0)]
    for compare in (population_stability, wasserstein):
        effects = np.array([compare(first, sample) for sample in moved])
        assert (np.diff(effects[:, 1]) > 0).all() and np.abs(effects[:, [0, 2]]).max() < 1e-12
    assert wasserstein(first, moved[2])[1] == pytest.approx(1.5 / first[:, 1].std())
