"""Inputs of a model as its data set makes them: columns by the options of the pipeline file, arrays by their shape."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.model_inputs import ModelInputs

TABLE = pa.table({"key": [7, 8], "a": [1.0, 2.0], "label": ["x", "y"], "b": [3, 4]})


def test_columns_are_those_of_the_data_set() -> None:
    inputs = ModelInputs.of_dataset((2,), None, {"id": "key"})
    assert inputs.of(TABLE).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert inputs.wanted(TABLE.column_names, "t") == ["a", "b", "key"]
    chosen = ModelInputs.of_dataset((1,), None, {"inputs": ["b"], "label": "label"})
    assert chosen.of(TABLE).tolist() == [[3], [4]]
    assert chosen.of_table(TABLE, "t", text=True).dtype == torch.float32


def test_arrays_are_given_the_shape_of_the_model() -> None:
    inputs = ModelInputs.of_dataset((3, 4, 5), None, {"channels": "last"})
    images = np.random.default_rng(0).random((2, 4, 5, 3))
    assert torch.equal(inputs.of(images), torch.from_numpy(images).permute(0, 3, 1, 2))
    assert ModelInputs((4, 15)).of(images.reshape(2, -1)).shape == (2, 4, 15)


@pytest.mark.parametrize(
    ("options", "table", "said"),
    [
        ({"inputs": ["c"]}, TABLE, "t: has no column 'c'"),
        ({"inputs": ["label"]}, TABLE, "t: column 'label' is not numbers"),
        ({"id": "key"}, TABLE.drop_columns(["b"]), r"t: its inputs are of shape \(1,\), but the model takes \(2,\)"),
        ({"id": "key"}, TABLE.set_column(1, "a", pa.array([1.0, None])), "t: column 'a' has no value in row 11"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], table: pa.Table, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ModelInputs.of_dataset((2,), None, options).of_table(table, "t", 10)
