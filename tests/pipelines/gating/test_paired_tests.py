"""Paired tests against scipy, against an enumeration of all outcomes, and their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.gating.paired_tests import (
    PairedCounts,
    bootstrap_interval,
    count_pairs,
    no_worse_p_value,
    paired_bootstrap,
    rate_p_values,
    samples_to_decide,
    worse_p_value,
)

counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 500)).map(
    lambda drawn: PairedCounts(drawn[0], drawn[1], sum(drawn))
)


@given(counts)
def test_without_a_margin_it_is_mcnemars_exact_test(pairs: PairedCounts) -> None:
    differ = pairs.lost + pairs.won
    if differ:
        assert worse_p_value(pairs) == pytest.approx(
            stats.binomtest(pairs.lost, differ, 0.5, alternative="greater").pvalue
        )
        assert no_worse_p_value(pairs) == pytest.approx(
            stats.binomtest(pairs.lost, differ, 0.5, alternative="less").pvalue
        )


@given(counts, st.floats(0.001, 0.2), st.floats(0.001, 0.2))
def test_a_wider_margin_forgives_more_and_never_both_can_be_shown(
    pairs: PairedCounts, first: float, second: float
) -> None:
    narrow, wide = sorted((first, second))
    assert worse_p_value(pairs, wide) >= worse_p_value(pairs, narrow) - 1e-12
    assert no_worse_p_value(pairs, wide) <= no_worse_p_value(pairs, narrow) + 1e-12
    assert max(worse_p_value(pairs, narrow), no_worse_p_value(pairs, narrow)) > 0.4


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("differ", [0.16, 0.3, 0.7])
@pytest.mark.parametrize("level", [0.1, 0.01])
def test_the_error_of_both_tests_is_at_most_the_level_at_the_margin(margin: float, differ: float, level: float) -> None:
    """Exactly, by the probability of every outcome with 40 samples of which the candidate loses `margin` in truth."""
    n = 40
    lose, win = (differ + margin) / 2, (differ - margin) / 2
    wrongly = {"worse": 0.0, "no worse": 0.0}
    for lost in range(n + 1):
        for won in range(n - lost + 1):
            pairs = PairedCounts(lost, won, n)
            chance = math.comb(n, lost) * math.comb(n - lost, won) * lose**lost * win**won
            chance *= (1 - lose - win) ** (n - lost - won)
            wrongly["worse"] += chance * (worse_p_value(pairs, margin, level=level) <= level)
            wrongly["no worse"] += chance * (no_worse_p_value(pairs, margin) <= level)
    assert wrongly["worse"] <= level
    # The score test is approximate at so few samples.
    assert wrongly["no worse"] <= 1.3 * level


def test_a_loss_of_five_points_is_shown_with_as_many_samples_as_are_said_to_be_needed() -> None:
    random = np.random.default_rng(0)
    wanted = samples_to_decide(PairedCounts(10, 10, 200), 0.05)
    assert wanted is not None and 200 < wanted < 350
    drawn = random.multinomial(wanted, [0.05, 0.05, 0.9], size=300)
    shown = [no_worse_p_value(PairedCounts(int(a), int(b), wanted), 0.05) <= 0.05 for a, b, _ in drawn]
    assert 0.7 < np.mean(shown) < 0.9
    assert samples_to_decide(PairedCounts(10, 10, 200), 0.0) is None


def test_models_that_never_differ_are_no_worse_and_no_samples_show_nothing() -> None:
    assert no_worse_p_value(PairedCounts(0, 0, 1000), 0.01) <= 0.05
    assert no_worse_p_value(PairedCounts(0, 0, 20), 0.01) > 0.05
    for test in (worse_p_value, no_worse_p_value):
        assert test(PairedCounts(0, 0, 0), 0.01) == test(PairedCounts(0, 0, 0)) == 1
    assert worse_p_value(PairedCounts(100, 0, 100), 0.5, level=1e-6) < 1e-6
    assert rate_p_values(0, 0, 0.1) == (1, 1)
    with pytest.raises(ValueError, match="a margin is a fraction"):
        worse_p_value(PairedCounts(1, 1, 10), -0.1)


def test_counts_of_answers_and_their_sum() -> None:
    champion, candidate = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool)
    pairs = count_pairs(champion, candidate)
    assert pairs == PairedCounts(lost=2, won=1, samples=5)
    assert pairs.difference == pytest.approx(-0.2)
    assert pairs + pairs == PairedCounts(4, 2, 10)
    assert PairedCounts(0, 0, 0).difference == 0


def test_the_bootstrap_agrees_with_scipys() -> None:
    random = np.random.default_rng(1)
    differences = random.normal(0.02, 0.3, size=400)
    theirs = stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    assert paired_bootstrap(differences, confidence=0.95) == pytest.approx((theirs.low, theirs.high), abs=0.004)
    assert paired_bootstrap(differences) == paired_bootstrap(differences)
    wide, narrow = paired_bootstrap(differences, confidence=0.99), paired_bootstrap(differences, confidence=0.8)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    pairs = PairedCounts(30, 20, 500)
    spread = np.array([-1.0] * 30 + [1.0] * 20 + [0.0] * 450)
    assert bootstrap_interval(pairs) == paired_bootstrap(spread)
    assert bootstrap_interval(PairedCounts(0, 0, 0)) == (0, 0)
    with pytest.raises(ValueError, match="needs samples"):
        paired_bootstrap(np.array([]))


def test_the_rate_test_is_the_binomial_test() -> None:
    worse, kept = rate_p_values(12, 100, 0.05)
    assert worse == pytest.approx(stats.binomtest(12, 100, 0.05, alternative="greater").pvalue)
    assert kept == pytest.approx(stats.binomtest(12, 100, 0.05, alternative="less").pvalue)
