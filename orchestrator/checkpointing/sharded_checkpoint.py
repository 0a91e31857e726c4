"""Checkpoints of a model that the workers have shared out: each worker writes the part that it holds.

The parts of one checkpoint have the step and a random token in their names, and say which part of how many they are. A
checkpoint counts when all of its parts are there, so that no worker waits for another one to write; a run with another
number of workers puts them together (`Checkpoint.joined`).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from orchestrator.checkpointing.checkpoint import PART, Checkpoint, Checkpointer, Point, checkpoint_prefix
from orchestrator.checkpointing.snapshot import copied
from orchestrator.events import CheckpointWritten
from strategies.loop.process_group import Reduction
from strategies.loop.sharded_learner import ShardedLearner

if TYPE_CHECKING:
    from strategies.loop.learner import Learner


@dataclass(frozen=True)
class Part:
    """What a rank writes: its part of the checkpoint `token`, after the one of step `before`."""

    token: str
    rank: int
    size: int
    before: int


class ShardedCheckpointer(Checkpointer):
    """As `Checkpointer`, on every rank: rank 0 says when, once all ranks have written the checkpoint before."""

    _part: Part

    def offer(self, learner: Learner, step: int, samples: int, points: list[Point], *, urgent: bool = False) -> None:
        if self._every is None:
            return
        assert isinstance(learner, ShardedLearner)
        group = learner.group
        ready = self._written() and (group.rank > 0 or self._wanted(step, urgent))
        agreed = torch.tensor([int(ready)])
        group.reduce_([agreed], Reduction.SUM)
        if int(agreed) < group.size:
            return
        token = group.broadcast(secrets.token_hex(8).encode()).decode()
        self._part = Part(token, group.rank, group.size, self._last_step)
        whole, rows = learner.held()
        state = {f"{PART}{name}": tensors for name, tensors in rows.items()}
        if group.rank == 0:
            state |= whole
        self._take(copied(state), learner, step, samples, points, urgent=urgent)

    def _write(self, checkpoint: Checkpoint) -> None:
        part = self._part
        if part.rank > 0:
            checkpoint = replace(checkpoint, memories={})  # all ranks hold the same
        data = checkpoint.to_bytes()
        prefix = checkpoint_prefix(self._lineage, self._planned)
        older: list[str] = []
        if part.rank == 0:
            # The checkpoint before is whole; this one may still lack parts.
            older = [key for key in self._lineage.store.list(prefix) if key < f"{prefix}{part.before:012}-"]
        name = f"{checkpoint.step:012}-{part.token}-{part.rank}of{part.size}-{hashlib.sha256(data).hexdigest()}"
        self._lineage.put(f"{prefix}{name}.safetensors", data)
        for key in older:
            self._lineage.delete(key)
        self._on_event(CheckpointWritten(checkpoint.step, len(data)))
