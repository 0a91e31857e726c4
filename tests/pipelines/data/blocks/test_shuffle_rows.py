"""Files with their rows shuffled: every row once, in an order of the seed, whatever the memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import BlockExperiences
from pipelines.data.blocks.shuffle_rows import Shuffling, shuffle
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet import blocks
from tests.pipelines.data.blocks.block_files import write

N = 400
LABELS = np.sort(np.arange(N) % 4)


def sorted_file(path: Path, shift: int = 0) -> Path:
    inputs = np.arange(N * 2, dtype=np.float32).reshape(N, 2) + shift
    return write(path, inputs, LABELS, [50] * 8, ids=[f"{shift}-{n}" for n in range(N)])


def shuffled(source: Path, target: Path, seed: int = 0, memory: int = 2**29) -> dict[str, int]:
    return shuffle(
        Location.of(str(source)), Location.of(str(target)), Shuffling(seed, 60, memory), lambda what, done, total: None
    )


def warned(path: Path) -> str:
    options = {"test": str(path), "test_fraction": 0.2, "inputs": "x", "label": "label", "id": None, "classes": None}
    found = blocks(None, str(path), **options, shape=None, channels="first")  # type: ignore[arg-type]
    assert isinstance(found, BlockExperiences)
    return " ".join(found.warnings)


@pytest.mark.parametrize("memory", [2**29, 10_000])
def test_every_row_comes_once_in_an_order_of_the_seed(memory: int, tmp_path: Path) -> None:
    source = sorted_file(tmp_path / "a.parquet")
    assert shuffled(source, tmp_path / "b.parquet", memory=memory) == {str(tmp_path / "b.parquet"): N}
    before, after = parquet.read_table(source), parquet.read_table(tmp_path / "b.parquet")
    assert after.schema.equals(before.schema)
    assert after.to_pylist() != before.to_pylist()
    assert after.sort_by("who").equals(before.sort_by("who"))
    groups = parquet.read_metadata(tmp_path / "b.parquet")
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [60] * 6 + [40]
    first = after["label"].to_numpy()[:60]
    assert np.bincount(first, minlength=4).min() >= 5  # of 15 in the middle; sorted, all would be of one class
    shuffled(source, tmp_path / "c.parquet", memory=memory)
    assert (tmp_path / "c.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    shuffled(source, tmp_path / "d.parquet", seed=1, memory=memory)
    assert parquet.read_table(tmp_path / "d.parquet").to_pylist() != after.to_pylist()


def test_a_folder_of_folders_keeps_its_experiences(tmp_path: Path) -> None:
    source = tmp_path / "sorted"
    for week in (1, 2):
        for day in (1, 2):
            sorted_file(source / f"week{week}" / f"{day}.parquet", shift=10 * week + day)
    assert "the file is sorted" in warned(source)
    target = tmp_path / "mixed"
    assert shuffled(source, target) == {str(target / f"week{n}" / "0.parquet"): 2 * N for n in (1, 2)}
    assert sorted(path.name for path in target.iterdir()) == ["week1", "week2"]
    who = parquet.read_table(target / "week2" / "0.parquet")["who"].to_pylist()
    assert {one.partition("-")[0] for one in who} == {"21", "22"} and len(set(who)) == 2 * N
    assert warned(target) == ""


def test_what_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    source = sorted_file(tmp_path / "a" / "1" / "1.parquet")
    with pytest.raises(DataError, match=r"a: exists already: remove it"):
        shuffled(source, tmp_path / "a")
    parquet.write_table(pa.table({"x": [1]}), source.parent / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: has not the columns and types of 1\.parquet"):
        shuffled(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
