"""Which columns are features. Covered with it: what a model is told of them.

Covers: `pipelines/data/features/column_layout.py`
"""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.config.pipeline_errors import DataError
from pipelines.data.features.column_layout import ColumnLayout
from pipelines.data.features.feature_columns import FeatureColumn, FeatureOptions, feature_columns

TYPES = {
    "id": pa.int64(),
    "amount": pa.float32(),
    "zip": pa.int64(),
    "country": pa.dictionary(pa.int8(), pa.string()),
    "paid": pa.bool_(),
    "at": pa.timestamp("us"),
    "fraud": pa.bool_(),
}


def test_types_decide_unless_the_file_does() -> None:
    options = FeatureOptions(categorical=["zip"], ignore=["paid"])
    assert feature_columns(options, TYPES, ["id", "fraud"], "t") == (
        FeatureColumn("amount", "numeric"),
        FeatureColumn("zip", "categorical", said=True),
        FeatureColumn("country", "categorical"),
        FeatureColumn("at", "timestamp"),
    )


@pytest.mark.parametrize(
    ("options", "types", "said"),
    [
        ({"numeric": ["amonut"]}, TYPES, "t: has no column 'amonut'.* did you mean 'amount'.*dataset.features"),
        ({"numeric": ["fraud"]}, TYPES, "'fraud' is the label or the id"),
        (
            {},
            {"x": pa.list_(pa.int8())},
            "t: column 'x' is of the type list.* numeric, categorical, timestamp, text, image or ignore",
        ),
        ({}, {"fraud": pa.bool_()}, "t: has no columns for the features besides"),
    ],
)
def test_what_is_no_feature_is_refused(options: dict[str, list[str]], types: dict[str, pa.DataType], said: str) -> None:
    with pytest.raises(DataError, match=said):
        feature_columns(FeatureOptions(**options), types, ["id", "fraud"], "t")


def test_a_column_has_one_kind() -> None:
    with pytest.raises(ValidationError, match="names the column 'zip' twice"):
        FeatureOptions(categorical=["zip"], numeric=["zip"])


def test_a_layout_says_which_columns_are_numbers() -> None:
    assert ColumnLayout(("a", "b", "c"), ((1, 5),)).numbers == (0, 2)
    assert ColumnLayout.plain(3).numbers == (0, 1, 2)
