"""Changes of the calibration error: its value, and how often its test errs."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.gating.calibration_change import calibration_change
from strategies.metrics import expected_calibration_error


def bins(random: np.random.Generator, samples: int, too_sure: float) -> list[tuple[int, int, float]]:
    """A model whose confidences lie above its accuracy by `too_sure`."""
    found = []
    for centre in (0.35, 0.55, 0.75, 0.95):
        n = samples // 4
        found.append((n, int(random.binomial(n, max(0.0, centre - too_sure))), n * centre))
    return found


def test_its_errors_are_those_of_the_metric() -> None:
    first, second = [(10, 4, 5.5), (0, 0, 0.0), (90, 81, 85.5)], [(100, 70, 90.0)]
    found = calibration_change(first, second)
    assert found.champion == pytest.approx(expected_calibration_error(first))
    assert found.candidate == pytest.approx(expected_calibration_error(second)) == pytest.approx(0.2)
    assert found.difference == pytest.approx(found.candidate - found.champion)
    assert found == calibration_change(first, second)
    with pytest.raises(ValueError, match="no samples"):
        calibration_change(first, [(0, 0, 0.0)])


def test_equal_models_are_rarely_refused_and_a_much_surer_one_is() -> None:
    random = np.random.default_rng(0)
    refused = [
        calibration_change(bins(random, 1000, 0.05), bins(random, 1000, 0.05), seed=seed).p_values(0.0)[0] <= 0.05
        for seed in range(200)
    ]
    assert np.mean(refused) <= 0.08
    worse = calibration_change(bins(random, 1000, 0.05), bins(random, 1000, 0.2))
    assert worse.p_values(0.05)[0] < 0.001
    assert worse.p_values(0.3)[1] < 0.001


def test_a_deviation_of_zero_compares_the_values() -> None:
    certain = [(50, 50, 50.0)]
    assert calibration_change(certain, certain).p_values(0.0) == (1, 0)
