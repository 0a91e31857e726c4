"""Verdicts: rarely false, more often right with more samples, and not moved by what is significant but small."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.drift.two_sample import kolmogorov_smirnov
from pipelines.drift.verdicts import judge


@pytest.mark.parametrize("size", [100, 1000, 10_000])
def test_chunks_of_one_distribution_are_no_drift(size: int) -> None:
    """30 streams at a level of 0.05: above 6 alarms has a probability below 0.1 % (binomial)."""
    random = np.random.default_rng(size)
    alarms = 0
    for _ in range(30):
        history = [random.normal(size=(size, 2)) for _ in range(3)]
        chunk = random.normal(size=(size, 2))
        alarms += judge(history, chunk, kolmogorov_smirnov, least_effect=0.0, alpha=0.05).drift
    assert alarms <= 6


def test_power_grows_with_the_number_of_samples() -> None:
    found = []
    for size in (20, 100, 500):
        random = np.random.default_rng(size)
        hits = 0
        for _ in range(20):
            history = [random.normal(size=(size, 1)) for _ in range(2)]
            hits += judge(history, random.normal(0.6, 1, (size, 1)), kolmogorov_smirnov, least_effect=0.1).drift
        found.append(hits)
    assert found == sorted(found) and found[0] < 10 and found[-1] == 20


def test_a_significant_but_small_effect_is_no_drift() -> None:
    random = np.random.default_rng(0)
    history = [random.normal(size=(50_000, 1)) for _ in range(2)]
    verdict = judge(history, random.normal(0.05, 1, (50_000, 1)), kolmogorov_smirnov, least_effect=0.1)
    assert verdict.p_value < 1e-6 and verdict.effect < 0.1 and not verdict.drift


def test_what_is_usual_in_a_history_that_changes_is_no_drift() -> None:
    """The mean goes up and down by 1 from chunk to chunk: one chunk more of it is nothing new, a jump by 5 is."""
    random = np.random.default_rng(0)
    history = [random.normal(index % 2, 0.3, (400, 1)) for index in range(6)]
    usual = judge(history, random.normal(0, 0.3, (400, 1)), kolmogorov_smirnov, least_effect=0.1)
    jump = judge(history, random.normal(5, 0.3, (400, 1)), kolmogorov_smirnov, least_effect=0.1)
    assert usual.p_value < 1e-6 and not usual.drift
    assert jump.drift
