"""Experiences that a user's own function returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.listed_experiences import ListedExperiences, experiences_in
from tests.pipelines.data.made_streams import stream
from tests.pipelines.own_datasets import Rows, arrays, map_style

X = np.arange(24, dtype=np.float32).reshape(8, 3)
Y = np.arange(8) % 2


def _listed(value: Any) -> ListedExperiences:
    found = experiences_in("own", value)
    assert found is not None
    return found


def test_domains_of_ones_own() -> None:
    """Four domains of two classes, which were refused: "4 experiences, but the dataset has only 2 classes"."""
    found = stream("tests.pipelines.own_datasets:domains", setting="domain-incremental")
    assert (len(found), found.outputs, found.input_shape, found.warnings) == (4, 2, (3,), ())
    assert [experience.classes for experience in found] == [(0, 1)] * 4
    assert found[2].train.take(torch.tensor([0]))[0].tolist() == [[200.0, 201.0, 202.0]]
    assert found.source(0) is None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_arrays_and_map_style_datasets(count: int) -> None:
    plain = _listed([((X + i, Y + i), (X[:2] + i, Y[:2] + i)) for i in range(count)])
    tensors = [TensorDataset(torch.from_numpy(X + i), torch.from_numpy(Y + i)) for i in range(count)]
    read = _listed([(one, one) for one in tensors])
    for found in (plain, read):
        assert (len(found), found.classes, found.input_shape) == (count, 1 + count, (3,))
        ids: list[int] = []
        for index in range(count):
            samples = found.train(index)
            assert found.classes_of(index) == (index, index + 1)
            assert samples.take(torch.arange(8))[0].tolist() == (X + index).tolist()
            ids += samples.ids.tolist()
        assert len(set(ids)) == 8 * count


def test_other_values_are_no_lists_of_experiences() -> None:
    for value in (arrays(), map_style(), (X, Y), [], 3, [(Rows(X, Y), Rows(X, Y))], [(X, X), (X, X)]):
        assert experiences_in("own", value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            [((X, Y), (X, Y)), ((X[:, :2], Y), (X[:, :2], Y))],
            r"experience 1 are \(2,\) torch.float32, but",
        ),
        ([((X, Y), (X[:0], Y[:0]))], "own, experience 0: the test set is empty"),
        ([((X, Y - 1), (X, Y))], "own, experience 0: training set: label -1 in row 0"),
        ([((X, Y), TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)))], "experience 0: .* of the same kind"),
    ],
)
def test_what_does_not_fit_names_the_experience(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _listed(value)
