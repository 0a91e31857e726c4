"""A run and a search as `everlearn run` and `everlearn tune` do them, small, in this process, on a store of a test."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.errors import CorruptBlob
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage import open_by_uri
from orchestrator.storage.store import Store
from orchestrator.storage.tensors import decode
from orchestrator.training.driver import run
from orchestrator.tuning import process_pool, trial_process
from orchestrator.tuning.search import tune
from pipelines.config.load import load_text

PIPELINE = """\
name: digits
stream: {{dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}}
model: {{name: mlp, hidden: [8]}}
strategy: [{{name: replay, capacity: 12}}]
train: {{steps: 4, batch_size: 16, checkpoint_every: 2, optimizer: {{name: adam}}}}
tune: {{trials: 2, search: random, max_concurrent: 1, space: {{train.optimizer.lr: {{uniform: [0.001, 0.01]}}}}}}
storage: {folder}/store
tracking: {{uri: "sqlite:///{folder}/mlflow.db"}}
"""


def train(kind: str, store: Store, folder: Path) -> None:
    """Do it to its end; every request to the storage goes through `store`.

    Args:
        kind: `run` or `tune`.
    """
    pipeline = load_text(PIPELINE.format(folder=folder))
    opened = open_by_uri.open_store
    with ExitStack() as stack:
        for module in list(sys.modules.values()):
            if getattr(module, "open_store", None) is opened:
                stack.enter_context(mock.patch.object(module, "open_store", lambda uri: store))
        # Its processes would open the storage themselves: the trials are trained by the thread that waits for them.
        stack.enter_context(mock.patch.object(process_pool._Worker, "_ask", _ask))
        run(pipeline) if kind == "run" else tune(pipeline)


def _ask(worker: Any, trial: Any) -> tuple[str, Any]:
    answers: list[tuple[str, Any]] = []

    def answer(kind: str, value: Any = None) -> None:
        if kind == "commit":
            trial.take(*value, worker._pool.on_record)
        else:
            answers.append((kind, value))

    plan = worker._pool.plan
    documents = [json.dumps(job.pipeline.to_document()) for job in trial.jobs]
    streams = [job.stream for job in trial.jobs]
    request = trial_process.Request(documents, range(len(streams)), {}, trial.needs, plan.retries, plan.fences)
    trial_process._run(request, streams, answer)  # type: ignore[arg-type]
    return answers[-1]


def preload(work: Callable[[], object]) -> None:
    """Import what `work` imports, as found out in a process of its own: this one stays without threads."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.close(reader)
            work()
            with os.fdopen(writer, "w") as out:
                out.write("\n".join(sys.modules))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as found:
        for name in found.read().splitlines():
            with suppress(Exception):
                importlib.import_module(name)
    os.waitpid(child, 0)


def holding(lineage: Lineage, ids: Iterable[int]) -> list[str]:
    """The shards and checkpoints in a store that hold one of these samples."""
    wanted, found = set(ids), []
    for key in lineage.store.list(f"{lineage.pipeline}/"):
        with suppress(CorruptBlob):
            tensors = decode(lineage.store.get(key))
            held = [tensor for name, tensor in tensors.items() if name.rpartition("|")[2] == "ids"]
            if any(wanted & set(tensor.flatten().tolist()) for tensor in held):
                found.append(key)
    return found


def first_experience(folder: Path) -> list[int]:
    """The ids of the training samples of experience 0."""
    from pipelines.data.streams import build_stream

    pipeline = load_text(PIPELINE.format(folder=folder))
    ids: list[int] = build_stream(pipeline.stream, pipeline.seed)[0].train.ids.tolist()
    return ids
