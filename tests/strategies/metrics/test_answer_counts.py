"""Metrics of the answers, worked out by hand."""

import math

import pytest

from strategies.metrics import expected_calibration_error, negative_flips


def test_negative_flips_by_hand() -> None:
    assert negative_flips([3, 0], [10, 40]) == pytest.approx((0.3 + 0.0) / 2)
    assert math.isnan(negative_flips([], []))
    assert negative_flips([1, 0], [4, 0]) == 0.25


def test_calibration_by_hand() -> None:
    # Six samples at 0.9 of which three are right, four at 0.5 of which three are right.
    bins = [(0, 0, 0.0)] * 7 + [(4, 3, 2.0)] + [(0, 0, 0.0)] * 5 + [(6, 3, 5.4)] + [(0, 0, 0.0)]
    assert expected_calibration_error(bins) == pytest.approx(0.6 * abs(0.5 - 0.9) + 0.4 * abs(0.75 - 0.5))
    assert expected_calibration_error([(5, 5, 5.0)]) == 0.0
    assert math.isnan(expected_calibration_error([(0, 0, 0.0)] * 15))
