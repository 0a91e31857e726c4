"""Parts of samples by the values of a column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import PipelineError
from pipelines.gating.column_slices import MOST_VALUES, check_columns, column_slices


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200))
def test_every_sample_is_in_one_part(values: list[int]) -> None:
    column = np.array(values, dtype=float)
    parts = column_slices("age", column)
    assert sum(part.astype(int) for part in parts.values()).tolist() == [1] * len(values)  # type: ignore[union-attr]
    if len(set(values)) <= MOST_VALUES:
        assert {name: column[part].tolist() for name, part in parts.items()} == {
            f"age {value}": [float(value)] * values.count(value) for value in sorted(set(values))
        }
    else:
        assert len(parts) <= 4
        highest = [column[part].max() for part in parts.values()]
        assert all(column[part].min() > top for part, top in zip(list(parts.values())[1:], highest, strict=False))


def test_names_that_are_no_columns_are_refused() -> None:
    check_columns("class", [])
    check_columns(["age", "class"], ["age"])
    with pytest.raises(PipelineError, match=r"no column 'clas', did you mean 'class'\?"):
        check_columns(["age", "clas"], ["age"])
