"""Folders with one file per experience, and the reading of the next one ahead.

Covers: `pipelines/data/datasets/next_file.py`
"""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.file_experiences import FileExperiences
from pipelines.data.datasets.next_file import NextFile
from pipelines.data.datasets.npz import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        inputs = np.full((10, 3), number, dtype=np.float32)
        np.savez(tmp_path / f"{number}.npz", x=inputs, y=np.arange(10) % 2, id=np.arange(10) + 10 * number)
    return tmp_path


def _loaded(folder: Path) -> FileExperiences:
    found = load(str(folder), id="id")
    assert isinstance(found, FileExperiences)
    return found


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_what_was_read_ahead_is_what_would_be_read(folder: Path, ahead: int) -> None:
    one, other = _loaded(folder), _loaded(folder)
    for index in (0, 1, 3, 2, 0):
        one.train(index)
        one.read_ahead(ahead)
        for part in ("train", "test"):
            expected, found = (getattr(data, part)(index) for data in (other, one))
            assert torch.equal(found.ids, expected.ids)
            assert torch.equal(found.targets, expected.targets)
            assert torch.equal(found.inputs(), expected.inputs())
    assert pickle.loads(pickle.dumps(one)).train(ahead).ids.tolist() == one.train(ahead).ids.tolist()


def test_a_file_that_was_read_ahead_is_not_read_again(folder: Path) -> None:
    found = _loaded(folder)
    found.read_ahead(1)
    for thread in threading.enumerate():
        if thread.name == "everlearn-read":
            thread.join()
    (folder / "1.npz").unlink()
    assert float(found.train(1).inputs()[0, 0]) == 1
    found.train(2)
    with pytest.raises(DataError, match="there is no such file"):
        found.train(1)


def test_an_error_of_reading_ahead_comes_where_the_file_is_used(folder: Path) -> None:
    found = _loaded(folder)
    (folder / "1.npz").write_bytes(b"torn")
    found.read_ahead(1)
    assert len(found.train(0))
    with pytest.raises(DataError, match=r"1\.npz: not a readable npz file"):
        found.train(1)


def test_ids_are_compared_whoever_read_the_file(folder: Path) -> None:
    np.savez(folder / "1.npz", x=np.ones((10, 3), np.float32), y=np.arange(10) % 2, id=np.arange(10) + 5)
    found = _loaded(folder)
    found.read_ahead(1)
    with pytest.raises(DataError, match=r"1\.npz: row 0 has the id 5, which row 5 of 0\.npz has too"):
        found.train(1)


def test_reading_ahead_of_the_same_file_begins_once() -> None:
    reads: list[int] = []
    ahead: NextFile[int] = NextFile()
    for _ in range(3):
        ahead.start(7, lambda: reads.append(7) or 49)
    assert ahead.take(6) is None
    taken = ahead.take(7)
    assert taken is not None
    assert taken.result() == 49
    assert reads == [7]
    assert ahead.take(7) is None
