"""What is taken as a dataset, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, adopt, from_map_style, from_tensors
from tests.pipelines.own_datasets import Rows, arrays, map_style, tensors

X, Y = np.zeros((4, 3), dtype=np.uint8), np.array([0, 1, 2, 1])


def test_tensors_and_arrays_are_taken() -> None:
    for value in (arrays(), tensors(), list(map(list, arrays()))):
        found = adopt("own", value)
        assert isinstance(found, Dataset)
        assert (found.classes, found.input_shape, len(found.train), len(found.test)) == (4, (1, 4, 4), 40, 20)
        assert found.train.ids.tolist() == list(range(40))


def test_map_style_datasets_are_taken_with_labels_from_items_or_an_attribute() -> None:
    class WithTargets(Rows):
        targets = (1, 0, 1)

        def __getitem__(self, index: int, /) -> Any:
            return self.inputs[index], None

    found = adopt("own", map_style())
    assert isinstance(found, Dataset)
    assert found.train.targets.tolist()[:5] == [0, 1, 2, 3, 0]
    part = WithTargets(X[:3], Y[:3])
    assert from_map_style("own", part, part).train.targets.tolist() == [1, 0, 1]


def test_a_dataset_is_taken_as_it_is() -> None:
    made = from_tensors("own", (X, Y), (X, Y), classes=7, ids=(Y.cumsum() * 10, Y))
    assert adopt("other", made) is made
    assert made.classes == 7
    assert made.train.ids.tolist() == [0, 10, 30, 40]


def test_whole_floats_and_column_vectors_are_labels() -> None:
    found = from_tensors("own", (X, Y.astype(np.float32)[:, None]), (X, Y))
    assert found.train.targets.tolist() == Y.tolist()


class _Random(Rows):
    def __getitem__(self, index: int, /) -> Any:
        return torch.rand(3), 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (((X, Y - 1), (X, Y)), "training set: label -1 in row 0 does not fit: with 3 classes labels are 0 to 2"),
        (((X, Y + 0.5), (X, Y)), "training label 0.5 in row 0 does not fit"),
        (((X, Y[:3]), (X, Y)), "4 samples need targets"),
        (((X, Y), (X[:, :2], Y)), r"training inputs are \(3,\) torch.uint8, but test inputs \(2,\)"),
        (((X, Y), (X.astype(float), Y)), "torch.float64"),
        (((X[:0], Y[:0]), (X, Y)), "training set is empty"),
        (((X, Y), (X[:0], Y[:0])), "test set is empty"),
        (((X + np.inf, Y), (X + 1.0, Y)), "row 0 has values that are NaN or infinite"),
        (((X.astype(str), Y), (X, Y)), "not numbers"),
        (((X, Y[:, None] + np.zeros((4, 2))), (X, Y)), r"labels must have shape \(n,\), got \(4, 2\)"),
        ((np.array(3), np.array(3)), "own: "),
        ((_Random(X, Y), Rows(X, Y)), "different inputs each time.*attribute `fingerprint`"),
        ((X, Y, X, Y), "must return"),
        (3, "must return .* not int"),
    ],
)
def test_what_does_not_fit_is_refused(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        adopt("own", value)


def test_ids_must_be_unique() -> None:
    with pytest.raises(DataError, match="not unique"):
        from_tensors("own", (X, Y), (X, Y), ids=(Y, Y))


def test_labels_beyond_the_classes_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"test set: label 2 in row 2 does not fit: .* labels are 0 to 1 \(1 such rows\)"
    ):
        from_tensors("own", (X, Y % 2), (X, Y), classes=2)
