"""Change of the classes' shares."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.drift.label_change import class_shares, label_shift


def test_shares_that_are_equal_and_shares_that_have_nothing_in_common() -> None:
    same = class_shares([50, 30, 20], [100, 60, 40])
    assert same.effect == 0 and same.p_value == 1
    apart = class_shares([50, 0], [0, 10])
    assert apart.effect == 1 and apart.p_value < 1e-6
    assert class_shares([5, 0], [7, 0]).p_value == 1


def test_a_small_change_of_many_samples_is_significant_and_small() -> None:
    change = class_shares([500_000, 500_000], [510_000, 490_000])
    assert change.p_value < 1e-9 and change.effect == pytest.approx(0.01)


def test_label_shift_is_found_without_labels() -> None:
    """A classifier of known rates, and data whose shares have changed from 0.5, 0.3, 0.2 to 0.1, 0.2, 0.7."""
    rates = np.array([[0.8, 0.1, 0.2], [0.1, 0.7, 0.2], [0.1, 0.2, 0.6]])
    before, after = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
    np.testing.assert_allclose(label_shift(rates * before, rates @ after), after, atol=1e-12)


def test_a_classifier_that_tells_classes_not_apart_is_refused() -> None:
    with pytest.raises(ValueError, match="does not tell some classes apart"):
        label_shift(np.full((2, 2), 0.25), np.array([0.5, 0.5]))
