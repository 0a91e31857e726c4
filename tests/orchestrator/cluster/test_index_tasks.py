"""Tasks that make an index: what each takes, and nodes that do not see the data. `training/test_nodes.py` runs them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cluster.index_tasks import _TASK_BYTES, _TASK_FILES, IndexTasks, index_executor, refuse_unseen, shares
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_index import IndexedFile
from pipelines.data.datasets.location import FileState, Location

SIZES = st.lists(st.integers(0, 2 * _TASK_BYTES), max_size=300)


def files(sizes: Sequence[int]) -> list[IndexedFile]:
    return [IndexedFile.unseen(Location(f"s3://b/{n}"), FileState(size, 0)) for n, size in enumerate(sizes)]


@settings(max_examples=50, deadline=None)
@given(SIZES, st.integers(1, 40))
def test_tasks_take_all_files_in_their_order_and_not_too_many(sizes: list[int], cpus: int) -> None:
    every = files(sizes)
    made = shares(every, cpus)
    assert [one for some in made for one in some] == every
    for some in made:
        assert 1 <= len(some) <= max(1, min(_TASK_FILES, -(-len(every) // cpus)))
        assert len(some) == 1 or sum(one.state.bytes for one in some) <= _TASK_BYTES


def test_a_node_that_does_not_see_a_file_is_named(tmp_path: Path) -> None:
    place = tmp_path / "a.parquet"
    file = IndexedFile.unseen(Location(str(place)), FileState(3, 0))
    with pytest.raises(DataError, match=rf"a\.parquet: node {socket.gethostname()} .* does not see this path\nPut the"):
        refuse_unseen(file)
    place.write_bytes(b"four")
    with pytest.raises(DataError, match="has another file there, of 4 bytes instead of 3"):
        refuse_unseen(file)
    place.write_bytes(b"abc")
    refuse_unseen(file)
    refuse_unseen(files([5])[0])  # in S3 every node sees the same


@pytest.mark.parametrize(("connect", "small"), [(None, 0), (lambda: pytest.fail("connected"), 100)])
def test_a_few_files_are_looked_at_by_this_process(connect: Callable[[], None] | None, small: int) -> None:
    every, told = files([10] * 3), []
    tasks = IndexTasks(connect, lambda done, of: told.append((done, of)), small)
    assert list(tasks(lambda file: file, every)) == every
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("lanes", "workers"), [("", 2), (", lanes: 2", 1), (", lanes: 2", 2)])
def test_a_run_connects_only_for_lanes_and_several_workers(lanes: str, workers: int) -> None:
    pipeline = load_text(
        f"name: x\nstream: {{dataset: {{name: parquet, path: x.parquet}}, experiences: 2{lanes}}}\nmodel: mlp\n"
        f"scaling: {{workers: {workers}}}\n"
    )
    with index_executor(pipeline, None, lambda done, of: None) as executor:
        assert (executor is not None) == bool(lanes)
        assert executor is None or (executor.connect is not None) == (workers > 1)
