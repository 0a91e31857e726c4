"""Chains of commits that record which test samples were answered right, made without training."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orchestrator.checkpointing.evaluation_record import ANSWERS, packed
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.decisions import Decision, newest_first
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.storage.tensors import encode

SAMPLES = 2000
NAME = "digits"


def open_lineage(folder: Path) -> Lineage:
    return Lineage(FolderStore(folder), NAME)


def write_answered(lineage: Lineage, parent: Commit | None, shares: Sequence[float], **fields: Any) -> Commit:
    """A commit whose model answers the given share of each experience's test set right: always the easiest samples, so
    that two commits differ on no more samples than they must."""
    index = len(shares) - 1
    right = {j: torch.from_numpy(np.arange(SAMPLES) < round(share * SAMPLES)) for j, share in enumerate(shares)}
    blobs = {ANSWERS: encode(packed(right)), "model": encode({"weight": torch.full((2,), float(sum(shares)))})}
    defaults: dict[str, Any] = {
        "parent": parent.id if parent else None,
        "pipeline": NAME,
        "experience": {"index": index, "task": index, "classes": [index], "fingerprint": f"d{index}", "samples": 9},
        "spec": {"seed": 0, "shares": list(shares)},
        "row": [
            {"experience": j, "test": f"test {j}", "correct": int(bits.sum()), "total": SAMPLES}
            for j, bits in right.items()
        ],
        "size": {"parameters": 2, "bytes": 8, "memory": 0},
        "blobs": {name: {"sha256": hashlib.sha256(b).hexdigest(), "bytes": len(b)} for name, b in blobs.items()},
    }
    commit = lineage.write(Commit.create(**{**defaults, **fields}), blobs.values())
    lineage.point("latest", commit.id)
    return commit


def recorded_decisions(lineage: Lineage) -> list[dict[str, Any]]:
    """What was decided, oldest first, without what differs between two runs of the same commands."""
    changing = {"at", "by", "checksum", "previous"}
    return [decision.model_dump(mode="json", exclude=changing) for decision in newest_first(lineage)][::-1]


def pointed(lineage: Lineage) -> dict[str, str]:
    """The refs, without how often they were moved."""
    return {name: ref.commit for name, ref in lineage.refs().items()}


class KilledStore:
    """A store whose process is killed before its n-th write."""

    def __init__(self, store: FolderStore, number: int) -> None:
        self._store, self._left = store, number

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("put", "put_if_absent", "compare_and_swap", "delete"):
            return found

        def counted(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found(*arguments)

        return counted


def killed(folder: Path, act: Callable[[Lineage], Decision | None], number: int) -> bool:
    """Do something in a process that is killed before its n-th write; False where it ended before."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store: Any = KilledStore(FolderStore(folder), number)
            act(Lineage(store, NAME))
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0
