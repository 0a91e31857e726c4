"""Several nodes: each a raylet of its own with one CPU, on one machine.

Covers: `orchestrator/cluster/shuffle_tasks.py`, `orchestrator/cluster/task_result.py`
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import yaml

from orchestrator.cluster.index_tasks import IndexTasks
from orchestrator.events import CommitWritten, Event
from orchestrator.lineage.lineage import Lineage
from orchestrator.progress.run_reporter import Reporter
from orchestrator.result import RunResult
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from orchestrator.tuning.search import tune
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.config.schema import Pipeline
from pipelines.data.blocks.block_index import BlockIndex
from pipelines.data.blocks.block_reader import Survey
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from tests.orchestrator.noting import notes
from tests.orchestrator.train_stream import train
from tests.pipelines.data.blocks.block_files import rows, write
from tests.pipelines.data.blocks.test_block_index import Kept

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

NODES = 4
SMALL = {"object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs and one node, to which this process is connected."""
    import ray
    from ray.cluster_utils import Cluster

    from orchestrator.cluster.connect import _SETTINGS
    from orchestrator.cluster.log_levels import quiet

    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SETTINGS.items():
            patch.setenv(name, value)
        quiet()
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SMALL})
        made.add_node(num_cpus=1, **SMALL)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


def pipeline(folder: Path, workers: Any, tune: Any = None, **noting: Any) -> Pipeline:
    (folder / "notes").mkdir(parents=True)
    document = {
        "name": "digits",
        "stream": {"dataset": "digits", "setting": "class-incremental", "order": [[0, 1], [2, 3], [4, 5]]},
        "model": {"name": "mlp", "hidden": [32]},
        "strategy": [
            {"name": "tests.orchestrator.noting:Noting", "folder": str(folder / "notes"), **noting},
            {"name": "ewc", "lambda": 10, "samples": 100},
            {"name": "replay", "capacity": 60},
        ],
        "train": {"steps": 60, "batch_size": 32, "optimizer": {"name": "adam"}},
        "scaling": {"workers": workers},
        "storage": str(folder / "store"),
        "tracking": {"uri": "http://127.0.0.1:9"},
        **({"tune": tune} if tune else {}),
    }
    return load_text(yaml.safe_dump(document), "digits.yaml")


def alone(one: Pipeline) -> list[Any]:
    """The rows of the accuracy matrix that a single worker comes to, without Ray."""
    return [commit.row for commit in Lineage(open_store(one.storage), one.name).chain(train(one)[-1])]


class FirstCommit(Reporter):
    def __init__(self) -> None:
        self.reached = threading.Event()

    def event(self, event: Event) -> None:
        if isinstance(event, CommitWritten):
            self.reached.set()


def test_a_stream_begun_on_one_node_continues_with_four_workers_on_four_and_gives_the_same_matrix(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import orchestrator.training.ray_train as trainer

    # A group that is well looks for room to grow once a minute.
    often = functools.partial(trainer.ScalingConfig, elastic_resize_monitor_interval_s=1)
    monkeypatch.setattr(trainer, "ScalingConfig", often)
    elastic = pipeline(tmp_path / "elastic", [1, NODES], size=NODES)
    reporter, outcome = FirstCommit(), Future[RunResult]()

    def work() -> None:
        try:
            outcome.set_result(run(elastic, reporter=reporter))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    assert reporter.reached.wait(120) or outcome.result(0)
    # Only the main thread may add nodes.
    for _ in range(NODES - 1):
        cluster.add_node(wait=False, num_cpus=1, **SMALL)
    result = outcome.result(200)
    assert result.trained == 3
    taken = notes(tmp_path / "elastic" / "notes")
    assert {note["size"] for note in taken if note["experience"] == 0} == {1}
    last = [note for note in taken if note["experience"] == 2]
    assert {note["size"] for note in last} == {NODES} and len({note["node"] for note in last}) == NODES
    chain = Lineage(open_store(elastic.storage), elastic.name).chain(result.lineage[-1])
    assert [
        [(count.experience, count.correct, count.total) for count in commit.row] for commit in chain
    ] == [
        [(count.experience, count.correct, count.total) for count in row]
        for row in alone(pipeline(tmp_path / "alone", 1))
    ]  # fmt: skip


def test_the_trials_of_a_search_are_spread_over_the_nodes(cluster: Any, tmp_path: Path) -> None:
    import ray

    for _ in range(1 + 2 - sum(node["Alive"] for node in ray.nodes())):
        cluster.add_node(num_cpus=1, **SMALL)
    section = {"search": "grid", "space": {"strategy.ewc.lambda": {"grid": [1, 1000]}}}
    result = tune(pipeline(tmp_path / "search", 1, section, nodes=2))
    assert [trial.state for trial in result.trials] == ["done"] * 2
    trials = [note for note in notes(tmp_path / "search" / "notes") if note["experience"] == 1]
    assert len({note["node"] for note in trials}) >= 2


def test_rows_are_shuffled_to_the_same_bytes_by_tasks_on_several_nodes(cluster: Any, tmp_path: Path) -> None:
    from orchestrator.cluster.shuffle_tasks import shuffle_tasks
    from pipelines.data.blocks.shuffle_rows import Shuffling, shuffle

    for week in (1, 2):
        (tmp_path / f"a/{week}").mkdir(parents=True)
        for day in (1, 2):
            write(tmp_path / f"a/{week}/{day}.parquet", *rows(400, day), [50] * 8)
    how, told = Shuffling(1, 60, 20_000), []  # several parts, and several row groups to a task

    def shuffled(target: str, way: Any = None, source: str = "a") -> list[bytes]:
        made = shuffle(
            Location(str(tmp_path / source)),
            Location(str(tmp_path / target)),
            how,
            lambda *seen: told.append(seen),
            way,
        )
        return [Path(file).read_bytes() for file in made]

    alone = shuffled("alone")
    ends = told[-1]
    for workers in (1, 3):
        with shuffle_tasks(workers, None) as way:
            assert shuffled(f"by{workers}", way) == alone
            assert told[-1] == ends == ("0.parquet", 1600, 1600)
    broken = (tmp_path / "a/2/2.parquet").read_bytes()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/1.parquet").write_bytes(broken[:4] + bytes(3000) + broken[3004:])  # the footer is whole
    with shuffle_tasks(2, None) as way, pytest.raises(DataError, match=r"1\.parquet: "):
        shuffled("no", way, "b")
    assert not (tmp_path / "no").exists() and not list(tmp_path.glob(".no*"))


@dataclass(frozen=True)
class Noted(ParquetBlocks):
    """Notes what it looks at, and at the first file named 3.parquet the worker that does so is killed.

    Attributes:
        folder: for the notes.
        driver: process that lives on.
    """

    folder: str = ""
    driver: int = 0

    def survey(self, location: Location) -> Survey:
        assert os.getpid() != self.driver
        killed = Path(self.folder, "killed")
        if location.name == "3.parquet" and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        Path(self.folder, f"{location.name} {uuid4()}").touch()
        return super().survey(location)


def test_the_index_by_tasks_is_that_of_this_process_although_a_worker_is_killed(cluster: Any, tmp_path: Path) -> None:
    columns = Columns.of("x", "label", None)
    wide = np.zeros((20_000, 128), dtype=np.float32)  # 10 MB
    paths = [write(tmp_path / f"{n}.parquet", wide, np.arange(len(wide)) % (2 + n), [15_000, 5000]) for n in range(4)]
    places = [Location(str(path)) for path in paths]

    def indexed(reader: ParquetBlocks, store: Kept, places: list[Location]) -> None:
        index = BlockIndex(reader, store)
        index.hashed(index.files(places))

    alone = Kept()
    indexed(ParquetBlocks(columns), alone, places)
    (tmp_path / "notes").mkdir()
    reader, told = Noted(columns, folder=str(tmp_path / "notes"), driver=os.getpid()), []
    tasks = IndexTasks(lambda: None, lambda *done: told.append(done), small=-1)
    kept = Kept(executor=tasks)
    indexed(reader, kept, places[2:])
    assert (tmp_path / "notes" / "killed").exists()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = peak()
    indexed(reader, kept, places)
    assert peak() - before < 4e6
    assert kept.data == alone.data
    assert told == [(1, 2), (2, 2)] * 4  # looked at and hashed, the first two later
    looked = sorted(note.name.partition(" ")[0] for note in (tmp_path / "notes").iterdir() if note.name != "killed")
    assert set(looked) == {path.name for path in paths} and looked.count("0.parquet") == looked.count("1.parquet") == 1
    paths[1].write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"1\.parquet: not a readable parquet file"):
        BlockIndex(reader, kept).files(places)


def peak() -> int:
    """Bytes of memory that this process has had since its peak was reset."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
