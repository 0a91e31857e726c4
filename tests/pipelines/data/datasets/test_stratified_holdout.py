"""A fixed, stratified part for testing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.datasets.stratified_holdout import stratified_holdout


@given(st.lists(st.integers(0, 4), max_size=200), st.floats(0.05, 0.95))
def test_rows_are_parted_class_by_class(labels: list[int], fraction: float) -> None:
    values = np.array(labels, dtype=np.int64)
    train, test = stratified_holdout(values, fraction)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    for number in set(labels):
        total, held = int((values == number).sum()), int((values[test] == number).sum())
        assert held == (min(max(round(fraction * total), 1), total - 1))
    again = stratified_holdout(values, fraction)
    assert np.array_equal(again[1], test)
