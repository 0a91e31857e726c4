"""The metrics along a stream are those of the whole matrix so far."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.metrics.definitions import summary
from strategies.metrics.running_metrics import RunningMetrics

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
