"""From a learner's state to a commit's blobs, and back."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from orchestrator.checkpointing.evaluation_record import ANSWERS, unpacked
from orchestrator.checkpointing.model_description import DESCRIPTION
from orchestrator.checkpointing.restore import fitting, restore_shards
from orchestrator.lineage.commit import BlobRecord, Commit, MemoryRecord, ShardRecord
from orchestrator.lineage.forgotten_ids import Tombstones, read_tombstones
from orchestrator.lineage.lineage import PARALLEL
from orchestrator.lineage.measurements import SizeRecord
from orchestrator.storage.parallel_requests import in_order
from orchestrator.storage.tensors import encode
from strategies.memory.reservoir import Shard
from strategies.networks.frozen_parts import MODEL

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.lineage.capability_record import AnswersRecord, CapabilityRecord
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.measurements import QualityRecord, ScoreRecord, TestCount
    from orchestrator.lineage.plan import PlannedCommit
    from strategies.api.data import Experience
    from strategies.loop.learner import Learner
    from strategies.memory.reservoir import Memory

_PACKAGES = ("everlearn", "torch", "ray", "numpy")


@dataclass
class Snapshot:
    """A copy of the learner's state after an experience, from which a commit is written while the learner continues.

    Attributes:
        planned: its id and what decides it.
        experience: index, task, classes and samples.
        state: tensors by group, as `Learner.state_dict` gives them.
        shards: the shards of each memory.
        size: of the model and the memories.
        answers: which test samples were classified correctly (see `orchestrator.checkpointing.evaluation_record`).
        description: what the commit says of its model (see `orchestrator.checkpointing.model_description`).
        row, previous, baseline, quality, scores, capabilities, capabilities_before, task_labels, losses, steps,
            timings: as in `Commit`.
    """

    planned: PlannedCommit
    experience: dict[str, Any]
    state: dict[str, dict[str, Tensor]]
    shards: dict[str, list[Shard]]
    size: SizeRecord | None = None
    answers: Mapping[str, Tensor] = field(default_factory=dict)
    description: Mapping[str, Tensor] = field(default_factory=dict)
    row: Sequence[TestCount] = ()
    previous: Sequence[TestCount] = ()
    baseline: Sequence[TestCount] = ()
    quality: QualityRecord | None = None
    scores: Sequence[ScoreRecord] | None = None
    capabilities: Sequence[CapabilityRecord] | None = None
    capabilities_before: Sequence[AnswersRecord] | None = None
    task_labels: str | None = None
    losses: Sequence[tuple[int, float, int]] = ()
    steps: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)


def take_snapshot(learner: Learner, planned: PlannedCommit, experience: Experience, samples: int) -> Snapshot:
    """A copy of the learner's state, so that training continues while the copy is written."""
    memories = learner.memories()
    return Snapshot(
        planned=planned,
        experience={
            "index": experience.index,
            "task": experience.task,
            "classes": list(experience.classes),
            "fingerprint": planned.fingerprint,
            "samples": samples,
        },
        state=copied_state(learner),
        shards={name: memory.shards() for name, memory in memories.items()},
        size=_size(learner.model, sum(memory.bytes for memory in memories.values())),
    )


def copied_state(learner: Learner) -> dict[str, dict[str, Tensor]]:
    """A copy of `Learner.state_dict` on the CPU."""
    return copied(learner.state_dict())


def copied(state: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """A copy of tensors on the CPU."""
    return {
        group: {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        for group, tensors in state.items()
    }


def write_snapshot(snapshot: Snapshot, lineage: Lineage) -> Commit:
    """Write a snapshot's blobs, then its commit; what is stored already is not written again.

    Raises:
        StorageError: the storage cannot be written.
    """
    parent = lineage.read(snapshot.planned.parent) if snapshot.planned.parent else None
    fresh: dict[str, bytes] = {}
    groups = {**snapshot.state, ANSWERS: snapshot.answers, DESCRIPTION: snapshot.description}
    blobs = {group: _blob(tensors, fresh) for group, tensors in groups.items() if tensors or group == MODEL}
    memories = {
        name: MemoryRecord(shards=tuple(_shard(shard, _known(parent, name), fresh) for shard in shards))
        for name, shards in snapshot.shards.items()
    }
    commit = Commit.create(
        parent=snapshot.planned.parent,
        pipeline=lineage.pipeline,
        experience=snapshot.experience,
        spec=dict(snapshot.planned.spec),
        row=snapshot.row,
        previous=snapshot.previous,
        baseline=snapshot.baseline,
        quality=snapshot.quality,
        scores=snapshot.scores,
        capabilities=snapshot.capabilities,
        capabilities_before=snapshot.capabilities_before,
        size=snapshot.size,
        task_labels=snapshot.task_labels,
        blobs=blobs,
        memories=memories,
        losses=snapshot.losses,
        steps=snapshot.steps,
        versions=dict(_versions()),
        timings=dict(snapshot.timings),
    )
    return lineage.write(commit, fresh)


def load_commit(learner: Learner, lineage: Lineage, commit: Commit, *, optimizer: str, memories: bool = True) -> None:
    """Put a learner in the state that a commit records.

    Args:
        optimizer: name of the optimiser that made it.
        memories: whether the memories are needed, too. They are a blob for each experience with samples in them.

    Raises:
        CorruptBlob: a blob is damaged, or does not fit the model.
        StorageError: a blob cannot be read, or was removed to save space.
    """
    commit.require_state()
    state = {
        group: lineage.tensors(record.sha256, commit=commit.id)
        for group, record in commit.blobs.items()
        if group not in (ANSWERS, DESCRIPTION)
    }
    with fitting(f"commit {commit.id[:12]}"):
        learner.load_state_dict(state, optimizer=optimizer)
    if not memories:
        return
    tombstones = read_tombstones(lineage)
    for name, memory in learner.memories().items():
        records = commit.memories.get(name, MemoryRecord()).shards
        with fitting(f"commit {commit.id[:12]}"):
            restore_shards(memory, _shards(lineage, commit, records, memory, tombstones), learner.outputs)


def _shards(
    lineage: Lineage, commit: Commit, records: Sequence[ShardRecord], memory: Memory, tombstones: Tombstones
) -> Iterator[Shard]:
    """The stored shards of a memory; raises as `load_commit`."""
    read = in_order(lambda record: lineage.tensors(record.sha256, commit=commit.id), records, PARALLEL)
    for record, tensors in zip(records, read, strict=True):
        # A shard that still holds what is to be forgotten: an `everlearn forget` was interrupted.
        memory.forget(tombstones.among(tensors["ids"].tolist()))
        yield Shard(record.experience, tensors, record.lengths)


def load_answers(lineage: Lineage, commit: Commit) -> dict[int, Tensor]:
    """Which samples of each test set a commit's model classified correctly, by experience; empty for an older commit.

    Raises:
        CorruptBlob, StorageError: as `load_commit`.
    """
    record = commit.blobs.get(ANSWERS)
    if record is None:
        return {}
    tensors = lineage.tensors(record.sha256, commit=commit.id)
    with fitting(f"commit {commit.id[:12]}"):
        return unpacked(tensors, commit.row)


def _size(model: nn.Module, memory: int) -> SizeRecord:
    parameters = list(model.parameters())
    held = [*parameters, *model.buffers()]
    return SizeRecord(
        parameters=sum(p.numel() for p in parameters),
        bytes=sum(t.numel() * t.element_size() for t in held),
        memory=memory,
    )


def _blob(tensors: Mapping[str, Tensor], fresh: dict[str, bytes]) -> BlobRecord:
    data = encode(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    fresh[sha256] = data
    return BlobRecord(sha256=sha256, bytes=len(data))


def _known(parent: Commit | None, name: str) -> dict[int, ShardRecord]:
    record = parent.memories.get(name) if parent else None
    return {shard.experience: shard for shard in record.shards} if record else {}


def _shard(shard: Shard, known: Mapping[int, ShardRecord], fresh: dict[str, bytes]) -> ShardRecord:
    """An old shard only becomes shorter: its blob stays, and the record says how much of it is left."""
    lengths = dict(shard.lengths)
    if shard.experience in known:
        return known[shard.experience].model_copy(update={"lengths": lengths})
    blob = _blob(shard.tensors, fresh)
    return ShardRecord(experience=shard.experience, sha256=blob.sha256, bytes=blob.bytes, lengths=lengths)


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
