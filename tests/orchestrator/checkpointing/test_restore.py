"""Stored tensors that do not fit are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from orchestrator.checkpointing.restore import fitting, restore_shards
from orchestrator.errors import CorruptBlob
from strategies.memory.reservoir import Memory, Shard


def tensors(**changes: Any) -> dict[str, Tensor]:
    good = {"ids": torch.arange(4), "targets": torch.tensor([0, 1, 0, 1]), "inputs": torch.rand(4, 3)}
    return {name: tensor for name, tensor in {**good, **changes}.items() if tensor is not None}


def test_what_fits_is_taken() -> None:
    memory = Memory(10)
    restore_shards(memory, [Shard(0, tensors(), {"all": 3})], outputs=2)
    assert len(memory) == 3
    for columns in (torch.zeros(4, 2).double(), torch.zeros(4, 1, dtype=torch.uint8)):
        restore_shards(Memory(10), [Shard(0, tensors(targets=columns), {"all": 3})], outputs=2)
    sequences = torch.tensor([[1, -1, 0]] * 4, dtype=torch.int32)
    restore_shards(Memory(10), [Shard(0, tensors(targets=sequences), {"all": 3})], outputs=2)


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": None},
        {"inputs": None},
        {"targets": torch.zeros(4)},
        {"ids": torch.arange(4.0)},
        {"ids": torch.zeros(4, 1, dtype=torch.int64)},
        {"targets": torch.tensor([0, 1, 2, 0])},
        {"targets": torch.tensor([0, 1, -1, 0])},
        {"targets": torch.zeros(4, 3).double()},
        {"targets": torch.zeros(4, 2)},
        {"targets": torch.full((4, 3), 2, dtype=torch.int32)},
        {"inputs": torch.rand(3, 3)},
        {"inputs": torch.tensor(1.0)},
        {"logits": torch.rand(5, 2)},
    ],
)
def test_what_is_no_shard_is_refused(changes: dict[str, Tensor | None]) -> None:
    memory = Memory(10)
    with pytest.raises(CorruptBlob, match=r"commit abc: its state does not fit"), fitting("commit abc"):
        restore_shards(memory, [Shard(0, tensors(**changes), {"all": 4})], outputs=2)
    assert len(memory) == 0


@pytest.mark.parametrize("inputs", [torch.rand(4, 2), torch.rand(4, 3).double()])
def test_shards_of_one_memory_are_alike(inputs: Tensor) -> None:
    memory = Memory(10)
    restore_shards(memory, [Shard(0, tensors(), {"all": 4})], outputs=2)
    with pytest.raises(ValueError, match="differ in shape or dtype"):
        restore_shards(memory, [Shard(1, tensors(ids=torch.arange(4, 8), inputs=inputs), {"all": 4})], outputs=2)


def test_the_text_is_short() -> None:
    with pytest.raises(CorruptBlob) as refused, fitting("commit abc"):
        raise RuntimeError("size mismatch " * 1000)
    assert len(str(refused.value)) < 300
