"""Real files that arrive in a folder, and steps that train them in this process, without MLflow."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.fencing import is_note
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.past_outline import read_past, write_outline
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.in_process import train_in_process
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.run_step import StepResult, run_step
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline

CENTRES = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
FILE = """
name: arriving
stream:
  source: {{path: "{folder}/in", format: npz, classes: 4{more}}}
  setting: class-incremental
model: {{name: mlp, hidden: [4]}}
strategy: [{{name: replay, capacity: 12}}]
train: {{batch_size: 20}}
storage: "{folder}/store"
tracking: {{uri: "{folder}/mlflow"}}
"""


def pipeline_of(folder: Path, more: str = "", text: str = FILE) -> Pipeline:
    (folder / "in").mkdir(exist_ok=True)
    return load_text(text.format(folder=folder, more=more), "arriving.yaml")


def deliver(folder: Path, name: str, classes: list[int], *, seed: int = 0, rows: int = 40, age: float = 1000) -> Path:
    """A file of these classes; `name` may lie in folders of its own."""
    random = np.random.default_rng(seed)
    y = random.permutation(np.resize(classes, rows))
    x = (CENTRES[y] + 0.3 * random.normal(size=(rows, CENTRES.shape[1]))).astype("float32")
    path = folder / "in" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each seed has its own time, as every write has.
    np.savez(path, x=x, y=y)
    aged(path, age - seed)
    return path


def aged(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def lineage_of(pipeline: Pipeline) -> Lineage:
    return Lineage(open_store(pipeline.storage), pipeline.name)


def train_here(pipeline: Pipeline) -> tuple[int, str]:
    """What `run` does, without MLflow."""
    lineage = lineage_of(pipeline)
    with claimed(lineage, "run") as claim:
        held = lineage.fenced(claim.fence)
        stream, plan, _ = plan_without_bad(pipeline, stream_of(pipeline), lineage)
        ids = [planned.id for planned in plan]
        past = read_past(lineage, ids)
        chain = past.chain
        train_in_process(pipeline, stream, plan, held, lambda event: None, chain=chain)
        write_outline(held, lineage.leading(ids, chain), past)
        held.point("latest", plan[-1].id)
    return len(plan) - len(chain), plan[-1].id


def step(pipeline: Pipeline) -> StepResult:
    return run_step(pipeline, train=train_here)


def contents(pipeline: Pipeline) -> dict[str, Any]:
    """Everything in the store that two undisturbed steps have in common, by key: not claims, times and notes."""
    store = open_store(pipeline.storage)
    found: dict[str, Any] = {}
    for key in store.list():
        data = store.get(key)
        if "/claims/" in key or is_note(data):
            continue
        found[key] = data
        if "/commits/" in key or "/refs/" in key:
            document = json.loads(data)
            for name in ("created", "timings", "checksum", "generation"):
                document.pop(name, None)
            if "losses" in document:
                document["losses"] = [point[:2] for point in document["losses"]]
            found[key] = document
    return found


class Killed(StorageError):
    """The process is killed: the store refuses all further requests."""


class KillableStore:
    """A store whose process is killed before its n-th write: nothing is read or written after that.

    Attributes:
        reads, writes: how many there were.
    """

    WRITES = ("put", "put_if_absent", "compare_and_swap", "delete", "delete_folder", "purge")

    def __init__(self, store: Any, killed_at: int = 0) -> None:
        self._store, self._killed_at = store, killed_at
        self.reads = self.writes = 0
        self.killed = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._counted(name, found) if callable(found) else found

    def _counted(self, name: str, request: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            if name in self.WRITES:
                self.writes += 1
                self.killed = self.killed or self.writes == self._killed_at
            else:
                self.reads += 1
            if self.killed:
                raise Killed("the process was killed")
            return request(*arguments)

        return counted
