"""Columns as values of one kind: the same value whatever its type in the file, and errors that name the row."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.data.features.feature_columns import Kind
from pipelines.data.features.raw_columns import Place, raw_values

PLACE = Place("t.csv", "c", first_row=10)
NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC


def test_a_category_is_the_same_text_in_every_type() -> None:
    columns = [
        pa.array([7, None]),
        pa.array([7.0, None]),
        pa.array(["7", None]),
        pa.array(["7", None]).dictionary_encode(),
    ]
    for column in columns:
        assert raw_values(column, "categorical", PLACE).tolist() == ["7", None]
    assert raw_values(pa.array([True, False]), "categorical", PLACE).tolist() == ["true", "false"]
    assert raw_values(pa.array([0.5, float("nan")]), "categorical", PLACE).tolist() == ["0.5", None]
    assert raw_values(pa.array([date(2026, 1, 1)]), "categorical", PLACE).tolist() == ["2026-01-01"]


def test_a_number_is_the_same_in_every_type() -> None:
    for column in (
        pa.array([1, None]),
        pa.array([1.0, None]),
        pa.array([True, None]),
        pa.array([Decimal("1.0"), None]),
    ):
        assert np.array_equal(raw_values(column, "numeric", PLACE), [1.0, np.nan], equal_nan=True)


def test_a_moment_is_the_same_in_every_type() -> None:
    texts = pa.array(["2026-01-01 12:00", "2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00", None])
    assert np.array_equal(raw_values(texts, "timestamp", PLACE), [NOON, NOON, NOON, np.nan], equal_nan=True)
    for type_ in (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ms", "Europe/Berlin")):
        column = pa.array([int(NOON)]).cast(pa.timestamp("s")).cast(type_)
        assert raw_values(column, "timestamp", PLACE).tolist() == [NOON]
    assert raw_values(pa.array([date(2026, 1, 1)]), "timestamp", PLACE).tolist() == [NOON - 43200]


@pytest.mark.parametrize("kind", ["numeric", "timestamp", "categorical"])
def test_a_column_without_values_is_missing(kind: Kind) -> None:
    found = raw_values(pa.nulls(2), kind, PLACE)
    assert len(found) == 2 and all(value is None or np.isnan(value) for value in found)


@pytest.mark.parametrize(
    ("column", "kind", "said"),
    [
        (pa.array(["1", "x"]), "numeric", "is numeric, but has 'x' in row 11"),
        (pa.array([None, "1"]), "numeric", "is numeric, but has the text '1' in row 11"),
        (pa.array([1.0, float("inf")]), "numeric", "is infinite in row 11"),
        (pa.array([[1]]), "numeric", "is numeric, but of the type list"),
        (
            pa.array(["2026-01-01", "soon"]),
            "timestamp",
            "is a timestamp, but has 'soon', which is not ISO 8601, in row 11",
        ),
        (pa.array([5]), "timestamp", "is a timestamp, but of the type int64 here"),
        (pa.array([[1]]), "categorical", "is categorical, but of the type list"),
    ],
)
def test_another_kind_is_refused_with_column_file_and_row(column: Any, kind: Kind, said: str) -> None:
    with pytest.raises(DataError) as refused:
        raw_values(column, kind, PLACE)
    assert str(refused.value).startswith(f"t.csv: column 'c' {said}")
