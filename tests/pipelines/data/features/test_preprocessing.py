"""A fitted preprocessing: no row depends on others, units are part of its hash, drift is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.data.features.feature_columns import FeatureOptions, feature_columns
from pipelines.data.features.preprocessing import Preprocessing


def table(**changes: Any) -> pa.Table:
    rows = np.random.default_rng(0)
    columns = {
        "amount": pa.array(rows.normal(50, 9, 20)),
        "country": pa.array(rows.choice(["DE", "FR", "PL"], 20)),
        "at": pa.array(rows.integers(0, 10**9, 20)).cast(pa.timestamp("s")),
    }
    return pa.table({**columns, **changes})


def fitted(given: pa.Table, vocabulary: int = 10) -> Preprocessing:
    columns = feature_columns(FeatureOptions(), {f.name: f.type for f in given.schema}, [], "t")
    return Preprocessing.fit(columns, given, np.arange(len(given)), FeatureOptions(vocabulary=vocabulary), "t")


def test_rows_do_not_depend_on_each_other() -> None:
    made = fitted(table())
    whole = made.transform(table(), "t")
    assert whole.dtype == np.float32 and whole.shape == (20, len(made.layout.names)) == (20, 11)
    parts = [made.transform(table().slice(start, 7), "t", start) for start in range(0, 20, 7)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert made.layout.categories == ((2, 5),) and set(whole[:, 2]) <= {2.0, 3.0, 4.0}


def test_it_survives_as_json() -> None:
    made = fitted(table())
    again = Preprocessing.read(json.loads(json.dumps(made.document())))
    assert again == made and again.digest == made.digest
    assert np.array_equal(again.transform(table(), "t"), made.transform(table(), "t"))


def test_the_same_numbers_in_another_unit_have_another_hash() -> None:
    euros, cents = fitted(table()), fitted(table(amount=pa.array(table()["amount"].to_numpy() * 128)))
    assert euros.digest != cents.digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"amount": pa.array(["1.5"] * 19 + ["n/a"])},
            "part.csv: column 'amount' is numeric, but has 'n/a' in row 119",
        ),
        (
            {"amount": pa.array([1e300] * 20)},
            "column 'amount' has a value too far from those of experience 0 in row 100",
        ),
        ({"at": pa.array([5] * 20)}, "part.csv: column 'at' is a timestamp, but of the type int64"),
    ],
)
def test_a_table_that_drifts_is_refused_with_column_file_and_row(changes: dict[str, Any], said: str) -> None:
    made = fitted(table())
    with pytest.raises(DataError, match=said):
        made.transform(table(**changes), "part.csv", first_row=100)


def test_a_column_that_is_gone_is_named() -> None:
    with pytest.raises(DataError, match=r"part.csv: has no column 'country', which experience 0 has"):
        fitted(table()).transform(table().drop_columns(["country"]), "part.csv")
