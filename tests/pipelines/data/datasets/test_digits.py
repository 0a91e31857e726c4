"""scikit-learn's digits."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from pipelines.data.datasets import digits
from pipelines.data.datasets.digits import load


def test_the_images_their_range_and_the_split() -> None:
    found = load()
    assert (len(found.train) + len(found.test), found.classes, found.input_shape) == (1797, 10, (1, 8, 8))
    inputs, targets = found.train.take(torch.arange(len(found.train)))
    assert inputs.dtype == torch.uint8
    assert (int(inputs.min()), int(inputs.max())) == (0, 255)
    assert len(inputs.unique()) == 17
    for samples in (found.train, found.test):
        counts = samples.targets.bincount()
        assert int(counts.max()) - int(counts.min()) <= 8
    assert 0.19 < len(found.test) / 1797 < 0.21
    assert targets.tolist() == found.train.targets.tolist()


def test_it_is_always_the_same() -> None:
    index = torch.arange(300)
    assert torch.equal(load().test.take(index)[0], load().test.take(index)[0])


def test_they_are_those_that_scikit_learn_gives() -> None:
    bunch = load_digits()
    assert np.array_equal(digits._table(), np.column_stack([bunch.data, bunch.target]))
