"""Sums are those of all numbers, rounded once."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.features.exact_sum import ExactSum

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300), max_size=12)


@given(st.lists(NUMBERS, max_size=4))
def test_a_sum_of_parts_is_that_of_all_to_the_bit(parts: list[list[float]]) -> None:
    total = ExactSum()
    for part in parts:
        total.add(np.array(part, dtype=np.float64))
    assert total.value == math.fsum(number for part in parts for number in part)
