"""What a stored shard of a memory has to look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from orchestrator.lineage.commit import MemoryRecord
from orchestrator.maintenance.check_shards import groups, length_problem, record_problems
from tests.orchestrator.maintenance.lineages import CAPACITY, folder, grow


def shard(**changes: Tensor | None) -> dict[str, Tensor]:
    tensors: dict[str, Tensor | None] = {
        "ids": torch.tensor([3, 9, 5]),
        "targets": torch.tensor([1, 0, 1]),
        "inputs": torch.zeros(3, 2),
        **changes,
    }
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def test_a_shard_is_counted_whole_and_by_class() -> None:
    assert groups(shard()) == {"all": 3, "0": 1, "1": 2}
    assert groups(shard(logits=torch.zeros(3, 4))) == {"all": 3, "0": 1, "1": 2}
    for columns in (torch.zeros(3, 2).double(), *(torch.zeros(3, 2, dtype=d) for d in (torch.uint8, torch.int32))):
        assert groups(shard(targets=columns)) == {"all": 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": None}, "ids missing"),
        ({"inputs": None, "targets": None}, "inputs, targets missing"),
        ({"ids": torch.tensor([3.0, 9.0, 5.0])}, "not lists of int64"),
        ({"targets": torch.tensor([[1], [0], [1]])}, "not lists of int64"),
        ({"inputs": torch.zeros(2, 2)}, "3 ids, but another number of inputs"),
        ({"logits": torch.tensor(1.0)}, "another number of logits"),
        ({"ids": torch.tensor([3, 9, 3])}, "twice"),
    ],
)
def test_what_is_no_shard_is_refused(changes: dict[str, Tensor | None], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        groups(shard(**changes))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({"all": 3}, None),
        ({"0": 1, "1": 2}, None),
        ({}, None),
        ({"all": 4}, "4 samples of a shard that holds 3"),
        ({"1": 3}, "3 samples of class 1 of a shard that holds 2"),
        ({"7": 1}, "class 7 of a shard that holds 0"),
        ({"all": 1, "0": 1}, "lengths of classes and of everything"),
    ],
)
def test_a_memory_holds_no_more_of_a_shard_than_there_is(lengths: dict[str, int], words: str | None) -> None:
    found = length_problem(lengths, {"all": 3, "0": 1, "1": 2})
    assert found is None if words is None else found is not None and words in found


def record(*shards: tuple[int, int]) -> MemoryRecord:
    made: list[dict[str, Any]] = [
        {"experience": experience, "sha256": "0" * 64, "bytes": 1, "lengths": {"all": length}}
        for experience, length in shards
    ]
    return MemoryRecord.model_validate({"shards": made}, strict=False)


def test_a_record_has_one_shard_of_each_experience_so_far_within_the_capacity(tmp_path: Path) -> None:
    commit = grow(folder(tmp_path), 2)[-1]
    assert record_problems(commit, "replay", record((0, 5), (1, CAPACITY - 5))) == []
    (much,) = record_problems(commit, "replay", record((0, 5), (1, CAPACITY - 4)))
    assert much == f"memory replay: {CAPACITY + 1} samples in a memory of {CAPACITY}"
    assert "two shards of one experience" in record_problems(commit, "replay", record((0, 1), (0, 1)))[0]
    assert "later experience than its own, 1" in record_problems(commit, "replay", record((2, 1)))[0]
    # Of a memory that the pipeline does not say the size of, no size is wrong.
    assert record_problems(commit, "another", record((0, 10**6))) == []
