"""A sparse row behaves as the list of its cells, and comes through JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lineage.sparse_row import SparseRow, cells, from_plain, to_plain

values = st.lists(st.floats(0, 1) | st.none(), max_size=12)


@given(values, st.integers(-14, 14), st.integers(-14, 14))
def test_it_is_the_list_of_its_cells(row: list[float | None], start: int, stop: int) -> None:
    sparse = SparseRow(dict(enumerate(row)), len(row))
    assert list(sparse) == row and len(sparse) == len(row) and sparse == row
    assert sparse[start:stop] == row[start:stop]
    assert [sparse[at] for at in range(-len(row), len(row))] == [row[at] for at in range(-len(row), len(row))]
    assert [*cells(sparse)] == [*cells(row)]
    with pytest.raises(IndexError):
        sparse[len(row)]


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(st.floats(0, 1) | st.none(), min_size=n, max_size=n))))
def test_json_names_the_cells_that_are_known(rows: list[list[float | None]]) -> None:
    sparse = [SparseRow(dict(enumerate(row)), len(row)) for row in rows]
    again = from_plain(json.loads(json.dumps([to_plain(row) for row in sparse])))
    assert [[*cells(row)] for row in again] == [[*cells(row)] for row in rows]
    assert from_plain([to_plain(row) for row in rows]) == rows


def test_what_is_missing_is_filled() -> None:
    assert SparseRow({1: 0.5}, 3).filled({0: 0.1, 1: 0.9, 2: None}) == [0.1, 0.5, None]
