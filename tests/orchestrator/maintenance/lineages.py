"""Lineages as runs leave them, memory shards included, made without training."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from orchestrator.checkpointing.checkpoint import Checkpoint
from orchestrator.checkpointing.snapshot import Snapshot, write_snapshot
from orchestrator.lineage.commit import Commit, commit_id
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.measurements import TestCount
from orchestrator.lineage.plan import PlannedCommit
from orchestrator.storage.folder_store import FolderStore
from strategies.memory.reservoir import Memory, Shard

CAPACITY = 12
SAMPLES = 30
INPUT = 48
HOUR = 3600.0


def sample_bytes(id_: int) -> bytes:
    """A sample's input: bytes that occur nowhere else."""
    return hashlib.blake2b(id_.to_bytes(8, "little"), digest_size=INPUT).digest()


def samples(index: int) -> dict[str, Tensor]:
    """The training set of an experience."""
    ids = range(1000 * index, 1000 * index + SAMPLES)
    inputs = torch.stack([torch.frombuffer(bytearray(sample_bytes(i)), dtype=torch.uint8) for i in ids])
    return {"ids": torch.tensor(list(ids)), "targets": torch.tensor([2 * index + i % 2 for i in ids]), "inputs": inputs}


def grow(
    lineage: Lineage,
    until: int,
    *,
    parent: Commit | None = None,
    policy: str = "uniform",
    variant: int = 0,
    ref: str | None = "latest",
) -> list[Commit]:
    """Write the commits up to experience `until` - 1 after `parent`, oldest first; `variant` gives other ids."""
    memory = restored(lineage, parent, policy)
    made: list[Commit] = []
    for index in range(parent.experience.index + 1 if parent else 0, until):
        memory.add(index, samples(index))
        spec: dict[str, Any] = {"seed": 0, "variant": variant}
        spec["strategy"] = [{"name": "replay", "capacity": CAPACITY, "policy": policy}]
        fingerprint = f"data {index}"
        above = made[-1] if made else parent
        above_id = above.id if above else None
        id_ = commit_id(parent=above_id, fingerprint=fingerprint, spec=spec)
        state = {
            "model": {"weight": torch.full((4, 4), index + variant / 10)},
            "optimizer": {"step": torch.tensor(1.0)},
        }
        snapshot = Snapshot(
            planned=PlannedCommit(id_, above_id, fingerprint, spec),
            experience={
                "index": index,
                "task": index,
                "classes": [2 * index, 2 * index + 1],
                "fingerprint": fingerprint,
                "samples": SAMPLES,
            },
            state=state,
            shards={"replay": memory.shards()},
            row=[
                TestCount(experience=j, test=f"test {j}", correct=max(9 - abs(index - j), 0), total=9) for j in range(6)
            ],
        )
        made.append(write_snapshot(snapshot, lineage))
        if ref:
            lineage.point(ref, made[-1].id)
    return made


def restored(lineage: Lineage, commit: Commit | None, policy: str = "uniform") -> Memory:
    """The memory that a commit records."""
    memory = Memory(CAPACITY, policy)
    for shard in commit.memories["replay"].shards if commit else ():
        memory.restore([Shard(shard.experience, lineage.tensors(shard.sha256), shard.lengths)])
    return memory


def memory_ids(lineage: Lineage, commit: Commit | str, policy: str = "uniform") -> list[int]:
    """Ids of the samples in the memory of a commit, as it is stored now."""
    found = lineage.read(commit if isinstance(commit, str) else commit.id)
    memory = restored(lineage, found, policy)
    return memory.tensors["ids"].tolist() if len(memory) else []


def put_checkpoint(lineage: Lineage, planned: str, ids: Iterable[int], step: int = 7) -> str:
    """A checkpoint on the way to a commit, with these samples in its memory; its key."""
    memory = Memory(CAPACITY)
    chosen = list(ids)
    inputs = torch.stack([torch.frombuffer(bytearray(sample_bytes(i)), dtype=torch.uint8) for i in chosen])
    memory.add(
        0, {"ids": torch.tensor(chosen), "targets": torch.zeros(len(chosen), dtype=torch.int64), "inputs": inputs}
    )
    state = {"model": {"weight": torch.zeros(3)}}
    data = Checkpoint(step, 70, [(5, 0.5, 1_700_000_000_000)], state, {"replay": memory.shards()}).to_bytes()
    key = f"{lineage.pipeline}/runs/{planned}/{step:012}-{hashlib.sha256(data).hexdigest()}.safetensors"
    lineage.store.put(key, data)
    return key


def age(lineage: Lineage, seconds: float = 2 * HOUR) -> None:
    """Let everything in a folder be older."""
    assert isinstance(lineage.store, FolderStore)
    for path in (lineage.store.root / lineage.pipeline).rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - seconds
            os.utime(path, (then, then))


def everything(lineage: Lineage) -> dict[str, bytes]:
    """All objects below the pipeline, claims excepted."""
    keys = [key for key in lineage.store.list(f"{lineage.pipeline}/") if "/claims/" not in key]
    return {key: lineage.store.get(key) for key in keys}


def occurs(lineage: Lineage, needle: bytes) -> list[str]:
    """Where bytes occur: keys; in a folder also the store's own files, seen from outside."""
    found = [key for key, data in everything(lineage).items() if needle in data]
    if isinstance(lineage.store, FolderStore):
        found += [str(path) for path in lineage.store.root.rglob("*") if path.is_file() and needle in path.read_bytes()]
    return found


def folder(path: Path, name: str = "digits") -> Lineage:
    return Lineage(FolderStore(path), name)
