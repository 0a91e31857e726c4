"""Loading stored tensors into a learner: tensors that do not fit are refused here, before they can fail elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from orchestrator.errors import CorruptBlob

if TYPE_CHECKING:
    from torch import Tensor

    from strategies.memory.reservoir import Memory, Shard


@contextmanager
def fitting(source: str) -> Iterator[None]:
    """Any failure in the block means that the stored tensors do not fit the pipeline.

    Args:
        source: where they come from.

    Raises:
        CorruptBlob: they are not.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        text = (str(error) or type(error).__name__)[:200]
        raise CorruptBlob(f"{source}: its state does not fit the model: {text}") from error


def restore_shards(memory: Memory, shards: Iterable[Shard], outputs: int) -> None:
    """Take stored shards into a memory.

    Args:
        outputs: units of the model's head; classes lie below, and columns of targets have as many units each.

    Raises:
        KeyError, ValueError: they are no shards of such a memory, which is left as it was.
    """
    memory.restore(_checked(shards, outputs, memory.tensors.get("inputs")))


def _checked(shards: Iterable[Shard], outputs: int, held: Tensor | None) -> Iterator[Shard]:
    """The shards, each refused unless it fits, and has inputs like those that are held or came before."""
    for shard in shards:
        ids, targets, inputs = (shard.tensors[name] for name in ("ids", "targets", "inputs"))
        if ids.dtype != torch.int64 or ids.dim() != 1:
            raise ValueError("ids of a memory are not lists of whole numbers")
        _check_targets(targets, outputs)
        if any(t.dim() == 0 or len(t) != len(ids) for t in shard.tensors.values()):
            raise ValueError("the tensors of a memory differ in length")
        if held is not None and (inputs.shape[1:] != held.shape[1:] or inputs.dtype != held.dtype):
            raise ValueError("the inputs in a memory differ in shape or dtype")
        held = inputs
        yield shard


def _check_targets(targets: Tensor, outputs: int) -> None:
    if targets.dim() == 2 and targets.dtype in (torch.float64, torch.uint8):
        if targets.shape[1] == 0 or outputs % targets.shape[1]:
            raise ValueError("targets in a memory do not have a column for each of the model's outputs")
    elif targets.dim() == 2 and targets.dtype == torch.int32:
        if targets.numel() and not -1 <= int(targets.min()) <= int(targets.max()) < outputs:
            raise ValueError("a token in a memory is beyond the model's outputs")
    elif targets.dim() != 1 or targets.dtype != torch.int64:
        raise ValueError("targets of a memory are neither classes nor columns of numbers or labels, nor tokens")
    elif len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < outputs:
        raise ValueError("a target in a memory is beyond the model's outputs")
