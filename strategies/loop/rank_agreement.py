"""A check that all ranks hold the same model and memory: each rank continues from its own copy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.loop.process_group import Group

if TYPE_CHECKING:
    from strategies.loop.learner import Learner

ROUNDING = 1e-3
"""Largest difference between copies, relative to a tensor's largest value: rounding differs between kinds of
machines."""


def differing(tensors: Mapping[str, Tensor], group: Group) -> list[str]:
    """The names of the tensors that differ among the ranks, by more than rounding; the same on every rank.

    Args:
        tensors: by name; the same names and shapes on every rank.
    """
    if group.size == 1 or not tensors:
        return []
    names = sorted(tensors)
    digests = torch.tensor([_digest(tensors[name]) for name in names])
    unequal = [name for name, same in zip(names, _same(digests).tolist(), strict=True) if not same]
    return [name for name in unequal if not _close(tensors[name])]


def check_buffers(model: nn.Module, group: Group) -> None:
    """After a step: refuse a layer that has taken statistics of its rank's own share of the batch.

    Raises:
        StrategyError: names it.
    """
    found = differing(dict(model.named_buffers()), group)
    if found:
        layer = type(model.get_submodule(found[0].rpartition(".")[0])).__name__
        raise StrategyError(
            f"model: {layer} changes its buffer '{found[0]}' by each worker's own share of a batch, so that they "
            "learn different models: set scaling.workers: 1, or use torch's BatchNorm"
        )


def check_ranks(learner: Learner) -> None:
    """After an experience: stop when the ranks' models or memories differ.

    Raises:
        StrategyError: names what differs.
    """
    if learner.group.size == 1:
        return
    tensors = {f"{part}: {name}": t for part, named in learner.state_dict().items() for name, t in named.items()}
    for name, memory in learner.memories().items():
        ids = memory.tensors.get("ids", torch.empty(0, dtype=torch.int64))
        tensors[f"memory {name}: samples"] = torch.tensor([len(ids), int(ids.sum()) if len(ids) else 0])
    found = differing(tensors, learner.group)
    if found:
        raise StrategyError(
            f"experience {learner.experience.index}: the workers do not hold the same {found[0]!r} "
            f"({len(found)} of {len(tensors)} tensors differ): a layer or a strategy depends on the worker it runs in. "
            "Nothing of this experience is kept; set scaling.workers: 1"
        )


def _digest(tensor: Tensor) -> int:
    content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


def _same(values: Tensor) -> Tensor:
    """(n,) bool: where all ranks have the same whole number."""
    lowest, highest = _extremes(values)
    return lowest == highest


def _close(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return False
    lowest, highest = _extremes(tensor.detach().float())
    return bool((highest - lowest).max() <= ROUNDING * torch.maximum(lowest.abs(), highest.abs()).max())


def _extremes(values: Tensor) -> tuple[Tensor, Tensor]:
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    lowest, highest = (values.to(device, copy=True).contiguous() for _ in range(2))
    dist.all_reduce(lowest, dist.ReduceOp.MIN)
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    return lowest, highest
