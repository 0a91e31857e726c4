"""What changes a fingerprint, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data import fingerprint as module
from pipelines.data.fingerprint import fingerprint, fingerprints
from pipelines.data.samples import CHUNK, MapSamples, TensorSamples


class _Rows:
    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int, /) -> Any:
        return self.inputs[index], 0


class _Named(_Rows):
    fingerprint = "v1"

    def __getitem__(self, index: int, /) -> Any:
        raise AssertionError("content was read")


INPUTS = torch.arange(12, dtype=torch.uint8).reshape(4, 3)
TARGETS = torch.tensor([0, 1, 0, 1])
IDS = torch.tensor([5, 6, 7, 8])


def _of(inputs: Tensor = INPUTS, targets: Tensor = TARGETS, ids: Tensor = IDS, **transform: Any) -> str:
    return fingerprint(TensorSamples(inputs, targets, ids), transform or None)


def test_everything_that_is_learned_counts() -> None:
    found = {
        _of(),
        _of(inputs=INPUTS + 1),
        _of(inputs=INPUTS.float()),
        _of(inputs=INPUTS.reshape(4, 3, 1)),
        _of(targets=1 - TARGETS),
        _of(ids=IDS + 1),
        _of(inputs=INPUTS[:3], targets=TARGETS[:3], ids=IDS[:3]),
        _of(inputs=INPUTS.flip(0)),
        _of(name="rotate", degrees=10.0),
        _of(name="rotate", degrees=20.0),
    }
    assert len(found) == 10
    assert all(len(value) == 64 for value in found)


def test_the_way_it_is_stored_does_not_count() -> None:
    big = TensorSamples(torch.cat([INPUTS.flip(0), INPUTS]), torch.zeros(8), torch.arange(8))
    view = big.subset(torch.tensor([4, 5, 6, 7]), targets=TARGETS, ids=IDS)
    strided = INPUTS.t().contiguous().t()
    assert not strided.is_contiguous()
    assert _of() == fingerprint(view, None) == _of(inputs=strided)
    assert _of() == fingerprint(MapSamples(_Rows(INPUTS), TARGETS, IDS), None)


def test_it_is_the_same_for_good() -> None:
    assert _of() == "d149bf448ab179e99edcde54c9b907d5345bda298fffad2f07f5a513a29261ab"


def test_chunks_leave_no_trace() -> None:
    rows = torch.arange(CHUNK + 5)
    inputs = rows.reshape(-1, 1).to(torch.bfloat16)
    whole = _of(inputs=inputs, targets=rows, ids=rows)
    inputs[-1] += 1024
    assert whole != _of(inputs=inputs, targets=rows, ids=rows)


def test_a_dataset_that_names_its_content_is_not_read() -> None:
    named = MapSamples(_Named(INPUTS), TARGETS, IDS)
    first = fingerprint(named, None)
    assert first != _of()
    # Which items are meant still counts, by their ids.
    assert first != fingerprint(named.subset(torch.tensor([0, 1])), None)


@pytest.mark.parametrize("beside", [0, 40, 2**20])
def test_those_of_many_sets_are_those_of_each(monkeypatch: pytest.MonkeyPatch, beside: int) -> None:
    # Sets of 24 to 120 bytes: all are hashed here, some in the other thread, and all there.
    monkeypatch.setattr(module, "_BESIDE", beside)
    sets = {n: TensorSamples(INPUTS[: n % 4 + 1], TARGETS[: n % 4 + 1], IDS[: n % 4 + 1] + n) for n in range(9)}
    transform = {"angle": 30}
    found = fingerprints({n: lambda one=one: (one, transform) for n, one in sets.items()})
    assert found == {n: fingerprint(one, transform) for n, one in sets.items()}
    assert sorted(found) == list(sets)


def test_a_set_that_cannot_be_read_is_an_error() -> None:
    def torn() -> Any:
        raise DataError("torn")

    with pytest.raises(DataError, match="torn"):
        fingerprints({0: lambda: (TensorSamples(INPUTS, TARGETS, IDS), None), 1: torn})
