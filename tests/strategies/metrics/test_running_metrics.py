"""The metrics along a stream are those of the whole matrix so far."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.metrics import Evidence, RunningMetrics, summary

shares = st.floats(0, 1) | st.just(math.nan)


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    length = draw(st.integers(1, 6))
    numbers = draw(st.lists(shares, min_size=length * (length + 1), max_size=length * (length + 1)))
    table = np.array(numbers).reshape(length + 1, length)
    return table[:length], table[length]


@given(streams())
def test_after_every_experience_they_are_those_of_the_definitions(stream: tuple[np.ndarray, np.ndarray]) -> None:
    R, b = stream
    running = RunningMetrics()
    for k in range(len(R)):
        found = running.add(R[k], R[k - 1, k] if k else math.nan, b[k])
        expected = summary(R, b, k)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name
    np.testing.assert_array_equal(running.learned, np.diagonal(R))


@given(streams())
def test_what_is_kept_is_what_the_whole_matrix_says(stream: tuple[np.ndarray, np.ndarray]) -> None:
    R, b = stream
    running = RunningMetrics()
    for k in range(len(R)):
        running.add(R[k], R[k - 1, k] if k else math.nan, b[k])
    for k in range(len(R)):
        found, expected = running.evidence(k), Evidence.of(R, b, k)
        assert len(found.rows) == len(expected.rows) == k + 1
        for name in ("row", "learned", "best", "averages", "ahead", "untrained", "reference"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, err_msg=name)


def test_cells_that_are_left_out_on_purpose_do_not_count() -> None:
    running, gap = RunningMetrics(partial=True), math.nan
    running.add([0.9])
    running.add([0.7, 0.8], ahead=0.2, baseline=0.1)
    found = running.add([gap, 0.6, 1.0], ahead=gap, baseline=0.1)
    assert found["average_accuracy"] == pytest.approx(0.8)
    assert found["forgetting"] == pytest.approx(0.2) and found["backward_transfer"] == pytest.approx(-0.2)
    assert found["forward_transfer"] == pytest.approx(0.1)
    assert found["average_incremental_accuracy"] == pytest.approx((0.9 + 0.75 + 0.8) / 3)
    assert found["worst_accuracy"] == 0.6
    # The best of an experience is remembered while it is not evaluated.
    assert running.add([0.5, gap, gap, 1.0])["forgetting"] == pytest.approx(0.4)
    assert running.evidence(3).partial and len(running.evidence(3).rows) == 1
