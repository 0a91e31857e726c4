"""Checks of the stored shards of memories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.commit import Commit, MemoryRecord

EVERYTHING = "all"


def groups(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """How many samples of each group a shard holds: `all` of them, and those of each class where there are classes.

    Raises:
        ValueError: it is not a shard: a tensor is missing, or they do not fit together.
    """
    import torch

    missing = {"ids", "targets", "inputs"} - tensors.keys()
    if missing:
        raise ValueError(f"it is no shard of a memory: {', '.join(sorted(missing))} missing")
    ids, targets = tensors["ids"], tensors["targets"]
    columns = targets.ndim == 2 and targets.dtype in (torch.float64, torch.uint8, torch.int32)
    if any(t.dtype != torch.int64 or t.ndim != 1 for t in (ids, *([] if columns else [targets]))):
        raise ValueError("its ids and targets are not lists of int64")
    uneven = [name for name, t in tensors.items() if t.ndim < 1 or len(t) != len(ids)]
    if uneven:
        raise ValueError(f"{len(ids)} ids, but another number of {', '.join(sorted(uneven)[:3])}")
    if len(ids.unique()) != len(ids):
        raise ValueError("an id occurs in it twice")
    if columns:
        return {EVERYTHING: len(ids)}
    values, counts = targets.unique(return_counts=True)
    return {EVERYTHING: len(ids), **{str(v): c for v, c in zip(values.tolist(), counts.tolist(), strict=True)}}


def record_problems(commit: Commit, name: str, record: MemoryRecord) -> list[str]:
    """What is wrong with a commit's record of a memory, whatever its shards hold."""
    problems = []
    experiences = [shard.experience for shard in record.shards]
    if len(set(experiences)) != len(experiences):
        problems.append("two shards of one experience")
    if any(experience > commit.experience.index for experience in experiences):
        problems.append(f"a shard of a later experience than its own, {commit.experience.index}")
    capacity = _capacity(commit, name)
    size = sum(sum(shard.lengths.values()) for shard in record.shards)
    if capacity is not None and size > capacity:
        problems.append(f"{size} samples in a memory of {capacity}")
    return [f"memory {name}: {problem}" for problem in problems]


def length_problem(lengths: Mapping[str, int], held: Mapping[str, int]) -> str | None:
    """What is wrong with how much of a shard is in the memory; None: nothing."""
    if EVERYTHING in lengths and len(lengths) > 1:
        return "lengths of classes and of everything"
    for group, length in lengths.items():
        if length > held.get(group, 0):
            what = "samples" if group == EVERYTHING else f"samples of class {group[:20]}"
            return f"{length} {what} of a shard that holds {held.get(group, 0)}"
    return None


def _capacity(commit: Commit, name: str) -> int | None:
    strategies = commit.spec.get("strategy")
    for strategy in strategies if isinstance(strategies, list) else []:
        if isinstance(strategy, dict) and strategy.get("name") == name:
            capacity = strategy.get("capacity")
            return capacity if isinstance(capacity, int) else None
    return None
