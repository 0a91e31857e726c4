"""Checkpoints within an experience: where a run resumes that failed between two commits.

A checkpoint is one safetensors file beside Ray's scratch, `<pipeline>/runs/<id of the commit it leads to>/`, named by
its step and its SHA-256. It holds the learner's state; random numbers and the order of the samples need none, because
they are addressed by step. A commit replaces its checkpoints, and removes them. Where the workers have shared out the
model, a checkpoint is one file of each (`orchestrator.checkpointing.sharded_checkpoint`).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from orchestrator.checkpointing.restore import fitting, restore_shards
from orchestrator.checkpointing.snapshot import copied_state
from orchestrator.errors import CorruptBlob, MissingKey
from orchestrator.events import CheckpointWritten, Event
from orchestrator.lineage.canonical_json import parse_json
from orchestrator.lineage.layout import runs_prefix
from orchestrator.storage.tensors import decode, decode_metadata, encode
from strategies.memory.reservoir import Shard
from strategies.networks.frozen_parts import MODEL

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.lineage import Lineage
    from strategies.loop.learner import Learner
    from strategies.loop.process_group import Group

Point = tuple[int, float, int]
_NAME = re.compile(r"(\d{12})-(?:([0-9a-f]{16})-(\d+)of(\d+)-)?([0-9a-f]{64})\.safetensors")
_MEMORY = "memory"
PART = "part:"
"""What stands before a group of tensors of which a file has one rank's rows."""
_FORMAT = "1"
URGENT = 2.0
"""Seconds between two checkpoints after a preemption notice."""


@dataclass(frozen=True)
class Checkpoint:
    """A learner in the middle of an experience.

    Attributes:
        step: optimiser steps done.
        samples: samples seen, replayed ones included.
        points: the loss curve so far.
        state: as `Learner.state_dict` gives it.
        memories: shards of the memories that changed since the experience began, by name.
        seconds: duration of training in the experience so far, over all invocations.
    """

    step: int
    samples: int
    points: list[Point]
    state: dict[str, dict[str, Tensor]]
    memories: dict[str, list[Shard]]
    seconds: float = 0.0

    def to_bytes(self) -> bytes:
        """One safetensors file."""
        groups = dict(self.state)
        shards: list[dict[str, Any]] = []
        for memory, shard in [(name, shard) for name, held in self.memories.items() for shard in held]:
            at = f"{_MEMORY}.{len(shards)}"
            groups[at] = dict(shard.tensors)
            shards.append({"memory": memory, "experience": shard.experience, "lengths": dict(shard.lengths), "at": at})
        tensors = {f"{group}|{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
        notes = {
            "step": self.step,
            "samples": self.samples,
            "points": self.points,
            "shards": shards,
            "seconds": self.seconds,
        }
        return encode(tensors, {"format": _FORMAT, "notes": json.dumps(notes)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """What `to_bytes` wrote. Raises CorruptBlob when it is not."""
        metadata = decode_metadata(data)
        groups: dict[str, dict[str, Tensor]] = {}
        for key, tensor in decode(data).items():
            group, _, name = key.partition("|")
            groups.setdefault(group, {})[name] = tensor
        groups.setdefault(MODEL, {})  # an empty group leaves no tensors
        try:
            if metadata["format"] != _FORMAT:
                raise ValueError(f"format {metadata['format'][:20]}")
            notes = parse_json(metadata["notes"].encode())
            memories: dict[str, list[Shard]] = {}
            for entry in notes["shards"]:
                lengths = {str(group): _count(length) for group, length in entry["lengths"].items()}
                shard = Shard(_count(entry["experience"]), groups.pop(entry["at"]), lengths)
                memories.setdefault(entry["memory"], []).append(shard)
            points = [(_count(step), float(loss), _count(at)) for step, loss, at in notes["points"]]
            seconds = max(0.0, float(notes.get("seconds", 0.0)))
            return cls(_count(notes["step"]), _count(notes["samples"]), points, groups, memories, seconds)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise CorruptBlob(f"not a checkpoint: {str(error)[:200]}") from None

    @classmethod
    def joined(cls, files: Sequence[bytes]) -> Checkpoint:
        """The checkpoint of which these are the parts, in the order of the ranks.

        The part of rank 0 has all that the ranks did not share out. Where they did, a group `part:<group>` of each has
        its rows of each tensor. Raises CorruptBlob when the parts do not belong together.
        """
        parts = [cls.from_bytes(data) for data in files]
        first = parts[0]
        state = {group: dict(named) for group, named in first.state.items() if not group.startswith(PART)}
        try:
            for group in (group for group in first.state if group.startswith(PART)):
                if any(part.state[group].keys() != first.state[group].keys() for part in parts):
                    raise ValueError(f"parts with other tensors in {group}")
                rows = {name: torch.cat([part.state[group][name] for part in parts]) for name in first.state[group]}
                state.setdefault(group.removeprefix(PART), {}).update(rows)
            if any(part.step != first.step for part in parts):
                raise ValueError("parts of several steps")
        except (KeyError, RuntimeError, ValueError) as error:
            raise CorruptBlob(f"not a checkpoint: {str(error)[:200]}") from None
        return replace(first, state=state)


def latest_checkpoint(lineage: Lineage, planned: str, group: Group) -> Checkpoint | None:
    """The latest intact checkpoint on the way to a commit, the same on every rank; None: there is no intact checkpoint.

    Raises:
        StorageError: the storage cannot be read.
    """
    data = b""
    if group.rank == 0:
        data = _furthest(lineage, planned)
    data = group.broadcast(data)
    return Checkpoint.from_bytes(data) if data else None


def remove_checkpoints(lineage: Lineage, planned: str) -> None:
    """Remove all checkpoints on the way to a commit. Raises StorageError; ClaimLost as `Lineage.delete`."""
    for key in list(lineage.store.list(checkpoint_prefix(lineage, planned))):
        lineage.delete(key)


def resume_from(learner: Learner, checkpoint: Checkpoint, *, optimizer: str) -> None:
    """Load the checkpoint into a learner that is at the beginning of the experience.

    Args:
        optimizer: name of the experience's optimiser.

    Raises:
        CorruptBlob: the checkpoint is of another model.
    """
    with fitting(f"checkpoint after step {checkpoint.step}"):
        learner.load_state_dict(checkpoint.state, optimizer=optimizer)
        for name, memory in learner.memories().items():
            if name in checkpoint.memories:
                memory.tensors = {}
                restore_shards(memory, checkpoint.memories[name], learner.outputs)


class Checkpointer:
    """Writes checkpoints of one experience in the background, as often as the pipeline file says.

    No checkpoint is taken while another one is being written, so that training never waits.
    """

    def __init__(
        self, lineage: Lineage, planned: str, every: int | float | None, on_event: Callable[[Event], object]
    ) -> None:
        """
        Args:
            planned: id of the commit that the experience leads to.
            every: steps (int) or seconds (float) between two; None: never.
            on_event: gets an event for every checkpoint that was written.
        """
        self._lineage, self._planned, self._every, self._on_event = lineage, planned, every, on_event
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="everlearn-checkpoint")
        self._pending: Future[None] | None = None
        self._last_step, self._last_time, self._urgent = 0, time.monotonic(), False
        self._memories: dict[str, Any] = {}
        self._began = time.monotonic()

    def begin(self, learner: Learner, step: int, *, changed: Container[str] = (), seconds: float = 0.0) -> None:
        """The experience begins, or resumes, at `step`.

        Args:
            changed: names of memories that have changed since it began: the others are in the commit before.
            seconds: duration of training so far.
        """
        self._last_step, self._last_time = step, time.monotonic()
        self._began = time.monotonic() - seconds
        memories = learner.memories().items()
        self._memories = {name: memory.tensors for name, memory in memories if name not in changed}

    def offer(self, learner: Learner, step: int, samples: int, points: list[Point], *, urgent: bool = False) -> None:
        """Take a checkpoint if it is time and none is being written.

        Args:
            urgent: the process may soon be ended; a checkpoint is due `URGENT` seconds after the last one.

        Raises:
            StorageError: the checkpoint before could not be written.
        """
        if self._wanted(step, urgent) and self._written():
            self._take(copied_state(learner), learner, step, samples, points, urgent=urgent)

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if kind is None and self._pending is not None:
            self._pending.result()

    def _take(
        self,
        state: dict[str, dict[str, Tensor]],
        learner: Learner,
        step: int,
        samples: int,
        points: list[Point],
        *,
        urgent: bool,
    ) -> None:
        changed = {n: m.shards() for n, m in learner.memories().items() if m.tensors is not self._memories.get(n)}
        seconds = time.monotonic() - self._began
        checkpoint = Checkpoint(step, samples, list(points), state, changed, seconds)
        self._last_step, self._last_time, self._urgent = step, time.monotonic(), urgent
        self._pending = self._pool.submit(self._write, checkpoint)

    def _wanted(self, step: int, urgent: bool) -> bool:
        soon = urgent and (not self._urgent or time.monotonic() - self._last_time >= URGENT)
        return self._every is not None and (soon or self._due(step))

    def _written(self) -> bool:
        """Whether no checkpoint is being written. Raises StorageError: the one before could not be."""
        if self._pending is not None:
            if not self._pending.done():
                return False
            self._pending.result()
        return True

    def _due(self, step: int) -> bool:
        if isinstance(self._every, int):
            return step - self._last_step >= self._every
        assert self._every is not None
        return time.monotonic() - self._last_time >= self._every

    def _write(self, checkpoint: Checkpoint) -> None:
        data = checkpoint.to_bytes()
        prefix = checkpoint_prefix(self._lineage, self._planned)
        key = f"{prefix}{checkpoint.step:012}-{hashlib.sha256(data).hexdigest()}.safetensors"
        older = [old for old in self._lineage.store.list(prefix) if old != key]
        self._lineage.put(key, data)
        for old in older:
            self._lineage.delete(old)
        self._on_event(CheckpointWritten(checkpoint.step, len(data)))


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{str(value)[:40]} is no count")
    return value


def checkpoint_prefix(lineage: Lineage, planned: str) -> str:
    """Where the checkpoints on the way to a commit lie."""
    return f"{runs_prefix(lineage.pipeline)}{planned}/"


def _furthest(lineage: Lineage, planned: str) -> bytes:
    """The bytes of the latest intact checkpoint; empty when there is none. Parts of one are put together."""
    prefix = checkpoint_prefix(lineage, planned)
    found: dict[tuple[int, str, int], dict[int, str]] = {}
    for key in sorted(lineage.store.list(prefix)):
        name = _NAME.fullmatch(key.removeprefix(prefix))
        if name is not None:
            step, token, part, of = int(name[1]), name[2] or name[5], int(name[3] or 0), int(name[4] or 1)
            found.setdefault((step, token, of), {})[part] = key
    for (_, _, of), keys in sorted(found.items(), reverse=True):
        try:
            if keys.keys() == set(range(of)):
                parts = [_intact(lineage, keys[part]) for part in range(of)]
                return parts[0] if of == 1 else Checkpoint.joined(parts).to_bytes()
        except (MissingKey, CorruptBlob):
            continue
    return b""


def _intact(lineage: Lineage, key: str) -> bytes:
    data = lineage.store.get(key)
    if f"-{hashlib.sha256(data).hexdigest()}." not in key:
        raise CorruptBlob(f"{key} is damaged")
    Checkpoint.from_bytes(data)
    return data
