"""Workers, nodes and all of Ray are killed during a run: it resumes and ends as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.events import CheckpointWritten, Event, Resumed, Warned, WorkersRestarted
from orchestrator.lineage.lineage import Lineage
from orchestrator.progress.run_reporter import Reporter
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training import failure_policy
from orchestrator.training.driver import run
from orchestrator.training.rank import NOTICE
from pipelines.config.load import load_text
from tests.faults.invariants import content, violations
from tests.faults.ordeal import Ordeal, ordeal, short_of_memory
from tests.faults.victim import Victims, prepared

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def pipeline(folder: Path, *, steps: int, every: int = 20, workers: str = "1") -> str:
    return (
        "name: digits\nstream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}\n"
        "model: {name: mlp, hidden: [32]}\n"
        "strategy: [{name: ewc, lambda: 10, samples: 100}, {name: replay, capacity: 60}]\n"
        f"train: {{steps: {steps}, batch_size: 32, checkpoint_every: {every}, optimizer: {{name: adam}}}}\n"
        f"scaling: {{workers: {workers}}}\nstorage: {folder}/store\n"
        "tracking: {uri: 'http://127.0.0.1:9'}\n"
    )


def lineage(text: str) -> Lineage:
    made = prepared(text)[0]
    return Lineage(open_store(made.storage), made.name)


def undisturbed(text: str, ranks: int = 1) -> list[dict[str, Any]]:
    """What a run without Ray, on which nothing is done, makes of it."""
    with Victims() as victims:
        ending = victims.live(text, ranks=ranks)
        assert ending.finished, ending.errors
    made = lineage(text)
    assert violations(made) == []
    return content(made, prepared(text)[2])


class Saboteur(Reporter):
    """Does one thing after another, each when a checkpoint of an experience has been written for the n-th time."""

    def __init__(self, *acts: tuple[int, Callable[[], object]]) -> None:
        self.acts = list(acts)
        self.resumed: list[tuple[int, int]] = []
        self.checkpoints: list[tuple[int, int]] = []
        self.failures: list[str] = []
        self.warnings: list[str] = []
        self._checkpoints = 0

    def event(self, event: Event) -> None:
        if isinstance(event, WorkersRestarted):
            self.failures.append(event.text)
        if isinstance(event, Warned):
            self.warnings.append(event.text)
        if isinstance(event, Resumed):
            self.resumed.append((event.index, event.step))
            self._checkpoints = 0
        if isinstance(event, CheckpointWritten):
            self._checkpoints += 1
            self.checkpoints.append((len(self.resumed), event.step))
            if self.acts and self._checkpoints == self.acts[0][0]:
                self.acts.pop(0)[1]()


def workers() -> list[psutil.Process]:
    """The workers of Ray Train that this process has started, the oldest first."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return sorted(found, key=lambda process: process.create_time())


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head without CPUs and two nodes of one CPU each, to which this process is connected."""
    import ray
    from ray.cluster_utils import Cluster

    from orchestrator.cluster.connect import _SETTINGS
    from orchestrator.cluster.log_levels import quiet

    quick = {"RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.3", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20"}
    for name, value in {**_SETTINGS, **quick}.items():
        monkeypatch.setenv(name, value)
    quiet()
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
    made.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def preempt(node: Any, seconds: float) -> None:
    """Give Ray a preemption notice for a node, as a cloud's autoscaler does."""
    import ray

    reason = 2  # DRAIN_NODE_REASON_PREEMPTION
    client = ray._raylet.GcsClient(address=ray.get_runtime_context().gcs_address)
    accepted, why = client.drain_node(node.node_id, reason, "a test", int((time.time() + seconds) * 1000))
    assert accepted, why


def test_a_killed_worker_and_a_node_that_is_taken_away(
    two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group of two is restarted as two at its checkpoint; at the notice it keeps another, and continues as one.

    No worker failure without progress is allowed: those after which a checkpoint was kept do not count.
    """
    monkeypatch.setattr(failure_policy, "MAX_FAILURES", 0)
    text = pipeline(tmp_path / "disturbed", steps=1200, every=250, workers="[1, 2]")
    (lost,) = two_nodes.worker_nodes
    saboteur = Saboteur(
        (2, lambda: workers()[-1].kill()),
        (2, lambda: preempt(lost, 1.0)),
    )
    run(load_text(text, "digits.yaml"), reporter=saboteur)
    assert not saboteur.acts
    assert saboteur.failures[0].endswith("failed: it was killed, or it crashed")
    assert len(saboteur.resumed) >= 2
    gaps = [after - before for (a, before), (b, after) in pairwise(saboteur.checkpoints) if a == b and after > before]
    assert min(gaps) < 250, "the preemption notice had no effect"
    assert NOTICE in saboteur.warnings
    assert all(step > 0 for _, step in saboteur.resumed)
    assert violations(lineage(text)) == []
    reference = undisturbed(text.replace("disturbed", "undisturbed"), ranks=2)
    for mine, expected in zip(content(lineage(text), prepared(text)[2]), reference, strict=True):
        for same in ("id", "row", "steps", "memories"):
            assert mine[same] == expected[same]


@pytest.mark.skipif(not short_of_memory(), reason="needs 4 GiB of free memory")
def test_out_of_memory_a_killed_controller_and_all_of_ray_killed(tmp_path: Path) -> None:
    """After the first two the run resumes by itself; after the last the same command resumes it."""
    planned = ["memory 0 step 31", "controller 0 evaluation 3", "ray 0 commit half 1"]
    with Victims() as victims:
        found = ordeal(victims, "[{name: ewc, lambda: 10}, {name: replay, capacity: 60}]", 1, planned, tmp_path)
    assert found == Ordeal(planned, [])
