"""What a run on Ray costs before its first step: by part, and against a Ray Train run of an empty function.

Both run in turn in one local Ray cluster with two workers; digits, so that the data costs nothing.
`python -m tests.benchmarks.ray_start`
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.cluster.connect import cluster, worker_resources
from orchestrator.events import Event, ExperienceStarted
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream

TEXT = """
name: digits-{number}
stream: {{dataset: digits, setting: class-incremental, order: [[0, 1]]}}
model: {{name: mlp, hidden: [16]}}
strategy: naive
train: {{steps: 2, batch_size: 16}}
scaling: {{workers: 2}}
storage: {folder}/store
"""
Parts = dict[str, float]


def ours(pipeline: Pipeline) -> Parts:
    """Seconds of a run of one experience of two steps, without the driver's work before it."""
    from orchestrator.training.ray_train import train_on_cluster

    stream = build_stream(pipeline.stream, pipeline.seed)
    plan = make_plan(pipeline, stream)
    steps: list[float] = []

    def handler(event: Event) -> None:
        if isinstance(event, ExperienceStarted):
            steps.append(time.monotonic())

    start = time.monotonic()
    train_on_cluster(pipeline, stream, plan, handler)
    ended = time.monotonic()
    assert Lineage(open_store(pipeline.storage), pipeline.name).leading([plan[0].id])
    return {"first step": steps[0] - start, "all": ended - start}


def empty(pipeline: Pipeline, folder: Path) -> Parts:
    """Seconds of a Ray Train run of a function that does nothing, with the same workers."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    mark = folder / f"{pipeline.name}.began"

    def nothing(config: dict[str, Any]) -> None:
        mark.touch()

    start, clock = time.monotonic(), time.time()
    TorchTrainer(
        nothing,
        train_loop_config={},
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(num_workers=2, resources_per_worker=worker_resources(pipeline.scaling)),
        run_config=RunConfig(name=pipeline.name, storage_path=str(folder / "empty")),
    ).fit()
    return {"function": mark.stat().st_mtime - clock, "all": time.monotonic() - start}


@contextmanager
def _timed(parts: Parts, name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    parts[name] = time.monotonic() - start


def measure(rounds: int = 3) -> tuple[Parts, list[Parts], list[Parts]]:
    """Seconds of the start of Ray by part, and of each round's run of ours and of the empty function.

    The first round of both does not count: it starts processes that later ones find.
    """
    start: Parts = {}
    with tempfile.TemporaryDirectory(prefix="everlearn-ray-start-") as name:
        folder = Path(name)

        def pipeline(number: int) -> Pipeline:
            return load_text(TEXT.format(number=number, folder=folder))

        with _timed(start, "import of Ray Train with PyTorch, and of the driver's part"):
            import orchestrator.training.ray_train  # noqa: F401
        began = time.monotonic()
        with cluster("local", pipeline(0).scaling):
            start["start of Ray"] = time.monotonic() - began
            mine, theirs = [], []
            for number in range(rounds + 1):
                mine.append(ours(pipeline(number)))
                theirs.append(empty(pipeline(number), folder))
            began = time.monotonic()
        start["end of Ray"] = time.monotonic() - began
    return start, mine, theirs


def main(rounds: int = 3) -> None:
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    start, mine, theirs = measure(rounds)
    print(f"A run on a local Ray with two workers, {rounds} rounds in turn after one that does not count (medians)")
    for name, seconds in start.items():
        print(f"  {name:58} {seconds:6.2f} s")
    first = f"{mine[0]['first step']:.2f} s and {theirs[0]['all']:.2f} s in the round that does not count"
    mine, theirs = mine[1:], theirs[1:]

    def median(rows: list[Parts], part: str) -> float:
        return statistics.median(row[part] for row in rows)

    print(f"  {'an empty function: until it begins in a worker':58} {median(theirs, 'function'):6.2f} s")
    print(f"  {'an empty function: all':58} {median(theirs, 'all'):6.2f} s")
    print(f"  {'ours: until the first step is done':58} {median(mine, 'first step'):6.2f} s   ({first})")
    print(f"  {'ours: all, one experience of two steps':58} {median(mine, 'all'):6.2f} s")
    for name, part, of in (
        ("our first step / the whole empty run", "first step", "all"),
        ("our first step / the empty function's begin", "first step", "function"),
    ):
        ratios = [a[part] / b[of] for a, b in zip(mine, theirs, strict=True)]
        print(f"  {name:58} {statistics.median(ratios):6.2f}   [{min(ratios):.2f} .. {max(ratios):.2f}]")


if __name__ == "__main__":
    main()
