"""What is known after an experience, from a whole matrix."""

import math

import numpy as np
import pytest

from strategies.metrics import Evidence, as_matrix

R = [[0.9, 0.3, 0.1], [0.6, 0.8, 0.2], [0.7, 0.4, 1.0]]


def test_by_hand() -> None:
    found = Evidence.of(R, [0.2, 0.1, 0.15])
    assert [row.tolist() for row in found.rows] == [[0.9], [0.6, 0.8], [0.7, 0.4, 1.0]]
    assert found.row.tolist() == [0.7, 0.4, 1.0] and found.learned.tolist() == [0.9, 0.8, 1.0]
    assert found.best.tolist() == [0.9, 0.8] and found.averages == pytest.approx([0.9, 0.7, 0.7])
    assert found.ahead.tolist() == [0.3, 0.2] and found.untrained.tolist() == [0.1, 0.15]
    assert np.isnan(found.reference).all() and len(found.reference) == 3
    assert found.flips == found.totals == found.bins == () and math.isnan(found.parameters)


def test_of_an_earlier_experience_later_rows_are_not_seen() -> None:
    found, short = Evidence.of(R, k=1), Evidence.of([row[:2] for row in R[:2]])
    for name in ("row", "learned", "best", "averages", "ahead"):
        np.testing.assert_array_equal(getattr(found, name), getattr(short, name))
    assert np.isnan(found.untrained).all() and found.best.tolist() == [0.9]
    assert Evidence.of(R, k=0).best.shape == Evidence.of(R, k=0).ahead.shape == (0,)


def test_rows_with_gaps_become_a_matrix() -> None:
    np.testing.assert_array_equal(as_matrix([[0.5, None], [None, 1.0]]), [[0.5, math.nan], [math.nan, 1.0]])
