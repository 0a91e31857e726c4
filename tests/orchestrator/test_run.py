"""The main job on a real Ray: any number of workers, resuming, extending, sharing, failing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.driver import run
from orchestrator.errors import RunFailed
from orchestrator.lineage.lineage import Lineage
from orchestrator.progress.reporter import Event, Reporter
from orchestrator.result import RunResult
from orchestrator.storage.store import open_store
from pipelines.load import load_text
from pipelines.schema import Pipeline
from strategies.memory import Memory

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PIPELINE = """
name: digits
stream: {{dataset: digits, setting: class-incremental, order: {order}}}
model: {{name: mlp, hidden: [32]}}
strategy:
  - {{name: ewc, lambda: 10, samples: 100}}
  - {{name: replay, capacity: 60, policy: class-balanced, weighting: experiences}}
train: {{epochs: {epochs}, batch_size: 50, optimizer: {{name: adam, lr: 0.003}}}}
storage: {folder}/store
tracking: {{uri: "sqlite:///{folder}/mlflow.db"}}
"""


def pipeline(folder: Path, *overrides: str, experiences: int = 3, epochs: int = 2) -> Pipeline:
    order = [[2 * k, 2 * k + 1] for k in range(experiences)]
    return load_text(PIPELINE.format(folder=folder, order=order, epochs=epochs), "digits.yaml", overrides)


def lineage(made: Pipeline) -> Lineage:
    return Lineage(open_store(made.storage), made.name)


def weights(made: Pipeline, commit: str) -> torch.Tensor:
    kept = lineage(made)
    return torch.cat([t.flatten() for t in kept.tensors(kept.read(commit).blobs["model"].sha256).values()])


def memory_ids(made: Pipeline, commit: str) -> list[int]:
    from strategies.memory import Shard

    kept = lineage(made)
    memory = Memory(60, "class-balanced", made.seed)
    memory.restore(
        Shard(s.experience, kept.tensors(s.sha256), s.lengths) for s in kept.read(commit).memories["replay"].shards
    )
    return memory.tensors["ids"].tolist()


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    from orchestrator.cluster import cluster
    from orchestrator.quiet import quiet

    quiet()
    with cluster(None, load_text("name: x\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\n"
                                 "scaling: {workers: 4}\n").scaling):  # fmt: skip
        yield


class Recording(Reporter):
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> tuple[Pipeline, RunResult]:
    """One worker, undisturbed: what everything else must equal."""
    made = pipeline(tmp_path_factory.mktemp("alone"))
    return made, run(made)


def test_the_number_of_workers_changes_nothing(alone: tuple[Pipeline, RunResult], tmp_path: Path) -> None:
    expected, reference = alone
    made = pipeline(tmp_path)
    result = run(made, workers=2)
    assert result.lineage == reference.lineage
    assert result.accuracy_matrix == reference.accuracy_matrix
    for commit in result.lineage:
        assert memory_ids(made, commit) == memory_ids(expected, commit)
    torch.testing.assert_close(
        weights(made, result.lineage[-1]), weights(expected, result.lineage[-1]), rtol=1e-3, atol=1e-5
    )


def test_a_second_run_trains_nothing(alone: tuple[Pipeline, RunResult]) -> None:
    made, first = alone
    again = run(made)
    assert (again.trained, again.reused) == (0, 3)
    assert again.accuracy_matrix == first.accuracy_matrix
    assert again.metrics == first.metrics
    assert again.tracking == first.tracking


def test_a_longer_stream_trains_only_what_is_new_and_other_settings_share_the_beginning(
    alone: tuple[Pipeline, RunResult], tmp_path: Path
) -> None:
    _, reference = alone
    short = pipeline(tmp_path, experiences=2)
    first = run(short)
    assert first.lineage == reference.lineage[:2]
    longer = run(pipeline(tmp_path))
    assert (longer.trained, longer.reused) == (1, 2)
    assert longer.lineage == reference.lineage
    torch.testing.assert_close(
        weights(short, longer.lineage[-1]), weights(alone[0], longer.lineage[-1]), rtol=0, atol=0
    )
    # The columns of the new experience are completed, where a metric needs them.
    assert longer.accuracy_matrix[1:] == reference.accuracy_matrix[1:]
    for name in longer.metrics.keys() - {"training_seconds"}:
        assert longer.metrics[name] == reference.metrics[name], name
    other = run(pipeline(tmp_path, "strategy.ewc.lambda=0.5", "strategy.replay.ratio=0.3", experiences=2))
    assert (other.trained, other.reused) == (1, 1)
    assert other.lineage[0] == first.lineage[0]
    assert other.lineage[1] != first.lineage[1]


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_commits(tmp_path: Path) -> None:
    made = pipeline(
        tmp_path,
        "train.per_experience={1: {optimizer: {name: sgd, lr: 1.0e+30}}}",
    )
    with pytest.raises(RunFailed, match=r"step .* of experience 1"):
        run(made)
    kept = lineage(made)
    ref = kept.ref("latest")
    assert ref is not None
    assert kept.read(ref.commit).experience.index == 0


def command(made: Pipeline, folder: Path, *arguments: str) -> Sequence[str]:
    import yaml

    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(made.to_document()))
    return [sys.executable, "-m", "orchestrator.cli.main", "run", str(file), *arguments]


def environment() -> dict[str, Any]:
    return {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}


def test_a_killed_driver_goes_on_at_the_last_commit(alone: tuple[Pipeline, RunResult], tmp_path: Path) -> None:
    """The driver is killed when the first commit appears; all of Ray's processes of that run end with it."""
    _, reference = alone
    made = pipeline(tmp_path)
    kept = lineage(made)
    process = subprocess.Popen(
        command(made, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    deadline = time.monotonic() + 120
    while not kept.exists(reference.lineage[0]) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert kept.exists(reference.lineage[0])
    result = run(made)
    assert result.reused >= 1
    assert result.lineage == reference.lineage
    assert result.accuracy_matrix == reference.accuracy_matrix
    torch.testing.assert_close(weights(made, result.lineage[-1]), weights(alone[0], result.lineage[-1]), rtol=0, atol=0)
