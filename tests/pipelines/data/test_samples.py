"""Views of samples in memory and of map-style datasets.

Covers: `pipelines/data/map_items.py`
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.samples import CHUNK, MapSamples, StoredSamples, TensorSamples, chunks


class Squares:
    """Item i: (i and its square, label)."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Any:
        return np.array([index, index**2], dtype=np.int32), index % 3


def _tensors(count: int) -> TensorSamples:
    rows = torch.arange(count, dtype=torch.int32)
    return TensorSamples(torch.stack([rows, rows**2], dim=1), rows % 3, rows + 100)


def _both(count: int) -> list[StoredSamples]:
    rows = torch.arange(count)
    return [_tensors(count), MapSamples(Squares(count), rows % 3, rows + 100)]


@given(st.lists(st.integers(0, 19), max_size=12), st.data())
def test_views_of_views_are_the_rows_they_say(first: list[int], data: st.DataObject) -> None:
    second = data.draw(st.lists(st.integers(0, len(first) - 1), max_size=6)) if first else []
    for samples in _both(20):
        view = samples.subset(torch.tensor(first, dtype=torch.int64)).subset(torch.tensor(second, dtype=torch.int64))
        rows = [first[i] for i in second]
        inputs, targets = view.take(torch.arange(len(view)))
        assert inputs.tolist() == [[row, row**2] for row in rows]
        assert inputs.dtype == torch.int32
        assert targets.tolist() == view.targets.tolist() == [row % 3 for row in rows]
        assert view.ids.tolist() == [row + 100 for row in rows]
        assert view.targets.dtype == view.ids.dtype == torch.int64


def test_a_view_shares_the_inputs_and_a_pickled_view_carries_its_rows_only() -> None:
    samples = TensorSamples(torch.zeros(1000, 1000, dtype=torch.uint8), torch.arange(1000))
    view = samples.subset(torch.tensor([3, 5]))
    assert view._inputs is samples._inputs
    stored = pickle.dumps(view)
    assert len(stored) < 5000
    again = pickle.loads(stored)
    assert again.ids.tolist() == [3, 5]
    assert torch.equal(again.take(torch.tensor([1]))[0], view.take(torch.tensor([1]))[0])


def test_targets_and_ids_of_a_view_can_be_given() -> None:
    for samples in _both(5):
        view = samples.subset(torch.tensor([1, 4]), targets=torch.tensor([7, 8]), ids=torch.tensor([-1, -2]))
        assert view.targets.tolist() == [7, 8]
        assert view.ids.tolist() == [-1, -2]


def test_batches_are_one_take_each_and_empty_shares_have_a_shape() -> None:
    indices = [torch.tensor([2, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([4])]
    for samples in _both(5):
        batches = list(samples.batches(iter(indices)))
        assert [inputs.tolist() for inputs, _ in batches] == [[[2, 4], [0, 0]], [], [[4, 16]]]
        assert batches[1][0].shape == (0, 2)
        assert [targets.tolist() for _, targets in batches] == [[2, 0], [], [1]]


def test_processes_read_the_same() -> None:
    indices = list(torch.arange(30).split(7))
    alone = MapSamples(Squares(30), torch.arange(30))
    ahead = MapSamples(Squares(30), torch.arange(30), workers=2)
    for (a, b), (c, d) in zip(alone.batches(indices), ahead.batches(indices), strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_reading_leaves_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    list(MapSamples(Squares(4), torch.arange(4)).batches([torch.arange(4)]))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_transforms_apply_in_order() -> None:
    def double(inputs: Tensor) -> Tensor:
        return inputs * 2

    def add(inputs: Tensor) -> Tensor:
        return inputs + 1

    for samples in _both(3):
        changed = samples.transformed(double).transformed(add)
        assert changed.take(torch.tensor([2]))[0].tolist() == [[5, 9]]
        assert changed.subset(torch.tensor([2])).take(torch.tensor([0]))[0].tolist() == [[5, 9]]
        assert changed.ids.tolist() == samples.ids.tolist()
        assert samples.take(torch.tensor([2]))[0].tolist() == [[2, 4]]


def test_transforms_reach_all_of_a_large_set() -> None:
    count = CHUNK + 3
    changed = _tensors(count).transformed(lambda inputs: inputs + 1)
    assert torch.equal(changed.take(torch.arange(count))[0][:, 0], torch.arange(1, count + 1, dtype=torch.int32))
    assert [len(index) for index in chunks(count)] == [CHUNK, 3]


def test_a_transform_in_memory_waits_for_the_first_take_and_runs_once() -> None:
    seen: list[int] = []

    def count(inputs: Tensor) -> Tensor:
        seen.append(len(inputs))
        return inputs

    changed = _tensors(10).transformed(count)
    assert (len(changed), changed.input_shape, changed.ids[0], changed.targets[1]) == (10, (2,), 100, 1)
    assert changed.subset(torch.tensor([4, 5])).take(torch.tensor([1]))[0].tolist() == [[5, 25]]
    assert seen == [2]
    for _ in range(3):
        list(changed.batches([torch.tensor([3])]))
    assert changed.subset(torch.tensor([4, 5])).take(torch.tensor([1]))[0].tolist() == [[5, 25]]
    assert seen == [2, 10]


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match="3 samples need targets"):
        TensorSamples(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(DataError, match="3 samples need ids"):
        MapSamples(Squares(3), torch.zeros(3), torch.zeros(4))


def test_items_that_do_not_fit_are_named() -> None:
    class Ragged(Squares):
        def __getitem__(self, index: int, /) -> Any:
            return torch.zeros(index + 1), 0

    class Words(Squares):
        def __getitem__(self, index: int, /) -> Any:
            return "text", 0

    with pytest.raises(DataError, match="differ in shape"):
        MapSamples(Ragged(3), torch.zeros(3)).take(torch.arange(3))
    with pytest.raises(DataError, match="sample 1 of the dataset"):
        MapSamples(Words(3), torch.zeros(3)).take(torch.tensor([1]))
