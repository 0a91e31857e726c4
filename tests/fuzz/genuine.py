"""What the readers should accept: where the mutations of the fuzzing begin."""

from __future__ import annotations

import gzip
import io
import json

import numpy as np
import torch

from orchestrator.checkpointing.checkpoint import Checkpoint
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.decisions import Decision, DecisionState
from orchestrator.storage.tensors import encode
from strategies.memory.reservoir import Memory

SHA256 = "0123456789abcdef" * 4


def commit() -> bytes:
    return Commit.create(
        parent=SHA256,
        pipeline="p",
        experience={"index": 1, "task": 1, "classes": [2, 3], "fingerprint": "data", "samples": 10},
        spec={"seed": 0, "model": {"name": "mlp"}},
        row=[{"experience": 0, "test": "test", "correct": 3, "total": 4}],
        blobs={"model": {"sha256": SHA256, "bytes": 8}},
        memories={"replay": {"shards": [{"experience": 0, "sha256": SHA256, "bytes": 8, "lengths": {"all": 4}}]}},
        losses=[(1, 0.5, 1_700_000_000_000)],
        steps=1,
    ).to_json()


def blob() -> bytes:
    return encode({"weight": torch.ones(2, 3), "step": torch.tensor(4)}, {"note": "text"})


def checkpoint() -> bytes:
    memory = Memory(5)
    memory.add(0, {"ids": torch.arange(9), "targets": torch.zeros(9, dtype=torch.int64), "inputs": torch.rand(9, 2)})
    state = {"model": {"weight": torch.rand(3)}, "optimizer": {"weight/step": torch.tensor(4.0)}}
    return Checkpoint(7, 140, [(5, 0.25, 1_700_000_000_000)], state, {"replay": memory.shards()}).to_bytes()


def ref() -> bytes:
    return json.dumps({"commit": SHA256, "generation": 3}).encode()


def claim() -> bytes:
    return Holder(token="t", host="h", pid=1, since="2026-01-01T00:00:00Z").to_json()


def decision() -> bytes:
    return Decision.create(
        number=2,
        previous=SHA256,
        champion=SHA256,
        kind="verdict",
        commit=SHA256,
        outcome="passed",
        reason="score +0.1 (limit -0.01)",
        evidence={"findings": [{"condition": "score", "value": 0.1, "samples": 200}], "gaps": []},
        state=DecisionState(champion=SHA256, tests=1),
    ).to_json()


def key() -> bytes:
    return b"split-digits/commits/" + SHA256.encode() + b".json"


def npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.zeros((6, 4), np.float32), y=np.arange(6) % 2)
    return file.getvalue()


def idx() -> bytes:
    images = np.zeros((10_000, 28, 28), np.uint8)
    return gzip.compress(bytes([0, 0, 8, 3]) + np.array(images.shape, ">i4").tobytes() + images.tobytes(), mtime=0)


def pipeline() -> bytes:
    return (
        b"name: p\nseed: 1\nstream: {dataset: digits, setting: class-incremental, experiences: 5}\n"
        b"model: {name: mlp, hidden: [8]}\nstrategy:\n  - {name: ewc, lambda: 10}\n  - {name: replay, capacity: 9}\n"
        b"train: {epochs: 1, batch_size: 32, optimizer: {name: adam, lr: 0.001}}\n"
    )


GENUINE = {
    "commit": commit, "blob": blob, "checkpoint": checkpoint, "ref": ref, "claim": claim, "decision": decision,
    "key": key, "npz": npz, "idx": idx, "pipeline": pipeline,
}  # fmt: skip
