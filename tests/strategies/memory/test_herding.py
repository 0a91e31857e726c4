"""Herding against its definition, and the memory of exemplars."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from strategies.memory.herding import ExemplarMemory, herd


def unit_rows(n: int, d: int, seed: int) -> Tensor:
    rows = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.5
    return F.normalize(rows, dim=1)


def brute_force(features: Tensor, n: int) -> list[int]:
    mean = features.mean(0) / features.mean(0).norm()
    chosen: list[int] = []
    for k in range(1, n + 1):
        total = features[chosen].sum(0)
        distance = {
            x: float((mean - (features[x] + total) / k).norm()) for x in range(len(features)) if x not in chosen
        }
        chosen.append(min(distance, key=distance.__getitem__))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_each_choice_brings_the_mean_closest(seed: int) -> None:
    features = unit_rows(30, 6, seed)
    assert herd(features, 12).tolist() == brute_force(features, 12)


def test_all_samples_are_chosen_once_when_there_are_too_few() -> None:
    assert sorted(herd(unit_rows(5, 3, 0), 9).tolist()) == [0, 1, 2, 3, 4]


def test_herding_is_closer_to_the_mean_than_chance() -> None:
    features = unit_rows(200, 8, 1)
    mean = F.normalize(features.mean(0), dim=0)
    herded = (features[herd(features, 10)].mean(0) - mean).norm()
    chance = torch.stack([(features[torch.randperm(200)[:10]].mean(0) - mean).norm() for _ in range(50)])
    assert herded < chance.min()


def exemplars(label: int, n: int, first: int) -> dict[str, Tensor]:
    ids = torch.arange(first, first + n)
    return {
        "ids": ids, "targets": torch.full((n,), label), "inputs": ids[:, None].to(torch.uint8), "rank": torch.arange(n)
    }  # fmt: skip


def test_lists_are_cut_at_their_end_as_classes_come() -> None:
    memory = ExemplarMemory(12)
    for label, per_class in ((0, 12), (1, 6), (2, 4), (3, 3)):
        memory.add(label // 2, exemplars(label, per_class, 100 * label))
        for other in range(label + 1):
            kept = memory.tensors["rank"][memory.tensors["targets"] == other]
            assert sorted(kept.tolist()) == list(range(per_class))


def test_shards_bring_the_same_memory_back() -> None:
    memory = ExemplarMemory(10, seed=4)
    for experience in range(3):
        memory.add(experience, exemplars(experience, 5, 100 * experience))
        memory.add(experience, exemplars(7, 4, 1000 + 100 * experience))
    copy = ExemplarMemory(10, seed=4)
    copy.restore(memory.shards())
    assert copy.tensors.keys() == memory.tensors.keys()
    assert all(torch.equal(copy.tensors[name], tensor) for name, tensor in memory.tensors.items())
    assert len(memory) == 10
