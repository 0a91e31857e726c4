"""What blobs cost: MB/s through the store against plain boto3, and what an experience writes as a memory fills.

`python -m tests.benchmarks.blobs` starts the tests' own S3 server (the first time it fetches it).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch

from orchestrator.events import CommitWritten, Event
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.store import Store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group

MEBIBYTE = 2**20
SIZES = (1, 8, 64)
ROUNDS = 7


@dataclass(frozen=True)
class Speed:
    """MB/s of both ways, as medians over rounds in turn, and the median over the rounds of their ratio."""

    ours: float
    plain: float
    ratio: float


def transfers() -> dict[str, Speed]:
    """Upload and download of blobs of several sizes through the store and through plain boto3, on one S3 server."""
    import boto3

    from tests.s3.server import server

    with mock.patch.dict(os.environ, server().environment):
        client = boto3.client("s3")
        bucket = f"bench-{uuid.uuid4().hex[:12]}"
        client.create_bucket(Bucket=bucket)
        place: Any = {"Bucket": bucket, "Key": "plain"}
        store = open_store(f"s3://{bucket}")
        found: dict[str, Speed] = {}
        for size in SIZES:
            data = os.urandom(size * MEBIBYTE)
            found[f"upload of {size} MiB"] = _compare(
                lambda data=data: store.put("ours", data),
                lambda data=data: client.put_object(**place, Body=data),
                len(data),
            )
            found[f"download of {size} MiB"] = _compare(
                lambda: store.get("ours"), lambda: client.get_object(**place)["Body"].read(), len(data)
            )
        return found


def _compare(ours: Callable[[], object], plain: Callable[[], object], size: int) -> Speed:
    ours()
    plain()
    pairs = []
    for number in range(ROUNDS):
        first, second = (ours, plain) if number % 2 else (plain, ours)
        one, two = _seconds(first), _seconds(second)
        pairs.append((one, two) if number % 2 else (two, one))
    return Speed(
        size / 1e6 / statistics.median(a for a, _ in pairs),
        size / 1e6 / statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Counting:
    """A store that counts what is written through it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.objects = self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _count(self, data: bytes) -> None:
        self.objects += 1
        self.bytes += len(data)

    def put(self, key: str, data: bytes) -> None:
        self._count(data)
        self._store.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._count(data)
        return self._store.put_if_absent(key, data)

    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        self._count(data)
        return self._store.compare_and_swap(key, data, version)


def growth(experiences: int = 20) -> list[tuple[int, int]]:
    """Objects and bytes that each experience writes: permuted digits, a memory that is full after two experiences."""
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        pipeline = load_text(
            f"name: growth\nstream: {{dataset: digits, setting: domain-incremental, transform: permute, "
            f"experiences: {experiences}}}\nmodel: {{name: mlp, hidden: [32]}}\n"
            "strategy: [{name: replay, capacity: 2500}]\ntrain: {steps: 5, batch_size: 64, checkpoint_every: 0}\n"
            f"storage: {folder}\n"
        )
        stream = build_stream(pipeline.stream, pipeline.seed)
        store: Any = Counting(open_store(pipeline.storage))
        written: list[tuple[int, int]] = []

        def on_event(event: Event) -> None:
            if isinstance(event, CommitWritten):
                written.append((store.objects, store.bytes))

        training = RankTraining(
            pipeline=pipeline,
            stream=stream,
            plan=make_plan(pipeline, stream),
            lineage=Lineage(store, pipeline.name),
            group=Group(),
            device=torch.device("cpu"),
            on_event=on_event,
        )
        training.run()
        before = [(0, 0), *written]
        return [(a[0] - b[0], a[1] - b[1]) for a, b in zip(written, before, strict=False)]


def main() -> None:
    torch.set_num_threads(1)
    print("Blobs through the store against plain boto3, on a Ceph RADOS Gateway on this machine (MB/s)")
    for name, speed in transfers().items():
        print(f"  {name:20} {speed.ours:6.0f}  boto3 {speed.plain:6.0f}  ratio {speed.ratio:.2f}")
    print("Written by an experience (1437 new samples, a memory of 2500)")
    written = growth()
    for index in (0, 1, 2, 4, 9, 19):
        objects, size = written[index]
        print(f"  experience {index:2}: {objects} objects, {size / 1e3:6.0f} kB")


if __name__ == "__main__":
    main()
