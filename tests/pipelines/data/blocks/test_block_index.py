"""The index of blocks: made once, extended, and the same for the same content.

Covers: `pipelines/data/blocks/block_reader.py` `pipelines/data/blocks/hash_blocks.py`
Covers: `pipelines/data/datasets/parquet_blocks.py`
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks import block_index
from pipelines.data.blocks.block_index import BlockIndex, IndexedFile
from pipelines.data.blocks.block_reader import Extents, Survey, unique_labels
from pipelines.data.blocks.hash_blocks import hash_blocks
from pipelines.data.blocks.index_executor import Executor
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from tests.pipelines.data.blocks.block_files import rows, stream_of_files, write


@dataclass
class Kept:
    """An `IndexStore`."""

    data: bytes | None = None
    executor: Executor | None = None

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data


@dataclass(frozen=True)
class Counting(ParquetBlocks):
    """Notes what it looks at."""

    looked: list[str] = field(default_factory=list, repr=False)

    def survey(self, location: Location) -> Survey:
        self.looked.append(location.name)
        return super().survey(location)

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        self.looked.append(f"content of {location.name}")
        return super().hashes(location, numbers, extents)


def reader(id: str | None = None) -> Counting:  # noqa: A002
    return Counting(Columns.of("x", "label", id))


def locations(*paths: Path) -> list[Location]:
    return [Location.of(str(path)) for path in paths]


def written(folder: Path, count: int = 3) -> list[Path]:
    return [write(folder / f"{n}.parquet", *rows(12, n), (5, 3, 4)) for n in range(count)]


def test_blocks_have_rows_labels_and_hashes(tmp_path: Path) -> None:
    paths = written(tmp_path)
    index = BlockIndex(reader())
    files = index.files(locations(*paths))
    for number, file in enumerate(files):
        labels = rows(12, number)[1]
        assert file.rows.tolist() == [5, 3, 4] and file.labels == tuple(sorted(set(labels.tolist())))
        expected = [np.bincount(part, minlength=3)[list(file.labels)] for part in np.split(labels, [5, 8])]
        assert np.array_equal(file.counts, expected)
        assert file.hashes is None
    hashes = [one.hashes for one in index.hashed(files)]
    assert len({row.tobytes() for one in hashes if one is not None for row in one}) == 9


def test_what_is_known_is_not_looked_at_again(tmp_path: Path) -> None:
    kept, paths = Kept(), written(tmp_path)
    first = BlockIndex(reader(), kept)
    first.hashed(first.files(locations(*paths)))
    paths.append(write(tmp_path / "3.parquet", *rows(4, 3), (4,)))
    counting = reader()
    again = BlockIndex(counting, kept)
    files = again.hashed(again.files(locations(*paths)))
    assert counting.looked == ["3.parquet", "content of 3.parquet"]
    assert [len(file.rows) for file in files] == [3, 3, 3, 1]
    silent = reader()
    last = BlockIndex(silent, kept)
    assert len(last.hashed(last.files(locations(*paths)))) == 4 and silent.looked == []


def test_a_file_that_was_written_again_is_looked_at_again(tmp_path: Path) -> None:
    kept, paths = Kept(), written(tmp_path)
    BlockIndex(reader(), kept).files(locations(*paths))
    write(paths[1], *rows(10, 9), (10,))
    counting = reader()
    assert len(BlockIndex(counting, kept).files(locations(*paths))[1].rows) == 1
    assert counting.looked == ["1.parquet"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 2}', b'{"format":1,"files":[{}]}', b"\xff"])
def test_a_damaged_index_is_made_again(damage: bytes, tmp_path: Path) -> None:
    kept, counting = Kept(damage), reader()
    assert len(BlockIndex(counting, kept).files(locations(*written(tmp_path)))) == 3
    assert sorted(counting.looked) == ["0.parquet", "1.parquet", "2.parquet"]
    assert kept.data is not None and json.loads(kept.data)["format"] == 1


def test_an_index_whose_counts_do_not_add_up_is_made_again(tmp_path: Path) -> None:
    kept, paths = Kept(), written(tmp_path)
    BlockIndex(reader(), kept).files(locations(*paths))
    assert kept.data is not None
    document = json.loads(kept.data)
    document["files"][0]["rows"][0] += 1
    kept.data = json.dumps(document).encode()
    counting = reader()
    BlockIndex(counting, kept).files(locations(*paths))
    assert len(counting.looked) == 3


def test_an_index_of_other_columns_is_not_used(tmp_path: Path) -> None:
    kept = Kept()
    paths = [write(tmp_path / "0.parquet", *rows(6, 0), (6,), ids=range(6))]
    BlockIndex(reader(), kept).files(locations(*paths))
    counting = reader(id="who")
    BlockIndex(counting, kept).files(locations(*paths))
    assert counting.looked == ["0.parquet"]


def hash_of(path: Path) -> bytes:
    index = BlockIndex(ParquetBlocks(Columns.of(None, "label", None)))
    (file,) = index.hashed(index.files(locations(path)))
    assert file.hashes is not None
    return file.hashes[0].tobytes()


def test_the_hash_of_a_block_is_that_of_its_content(tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(4, dtype=np.float32), "b": np.ones(4, dtype=np.float32), "label": [0, 1, 0, 1]})

    def of(name: str, changed: pa.Table, **options: object) -> bytes:
        path = tmp_path / name / "data.parquet"
        path.parent.mkdir()
        parquet.write_table(changed, path, **options)
        return hash_of(path)

    first = of("first", table)
    copied = tmp_path / "elsewhere.parquet"
    shutil.copy(tmp_path / "first" / "data.parquet", copied)
    os.utime(copied, (0, 0))
    assert hash_of(copied) == first
    assert of("metadata", table.replace_schema_metadata({"note": "other"})) == first
    others = {
        of("value", table.set_column(0, "a", pa.array([0.0, 1.0, 2.0, 4.0], pa.float32()))),
        of("label", table.set_column(2, "label", pa.array([0, 1, 1, 1]))),
        of("name", table.rename_columns(["a", "c", "label"])),
        of("dtype", table.set_column(1, "b", pa.array(np.ones(4)))),
    }
    assert len(others) == 4 and first not in others


def test_bad_files_are_named(tmp_path: Path) -> None:
    index = BlockIndex(ParquetBlocks(Columns.of("x", "label", None)))
    (path,) = written(tmp_path, 1)
    for name, content, message in (
        ("torn.parquet", path.read_bytes()[:-20], "not a readable parquet file"),
        ("no.parquet", b"no parquet at all", "not a readable parquet file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            index.files(locations(tmp_path / name))
    parquet.write_table(pa.table({"x": [[1.0]], "kind": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"other\.parquet: has no column 'label'"):
        index.files(locations(tmp_path / "other.parquet"))
    empty = pa.table({"x": pa.array([], pa.list_(pa.float32())), "label": pa.array([], pa.int64())})
    parquet.write_table(empty, tmp_path / "empty.parquet")
    with pytest.raises(DataError, match=r"empty\.parquet: has no rows"):
        index.files(locations(tmp_path / "empty.parquet"))
    parquet.write_table(pa.table({"x": [[1.0], [2.0]], "label": [1, None]}), tmp_path / "holes.parquet")
    with pytest.raises(DataError, match=r"holes\.parquet, row group 0: column 'label' has no value in row 1"):
        index.files(locations(tmp_path / "holes.parquet"))
    with pytest.raises(DataError, match="there is no such file"):
        index.files(locations(tmp_path / "missing.parquet"))


def test_labels_are_counted() -> None:
    assert [list(part) for part in unique_labels(np.array([2, 1, 2]))] == [[1, 2], [1, 2], [1, 0, 1]]
    found = [list(part) for part in unique_labels(np.array(["b", "a", "b"], dtype=object))]
    assert found == [["a", "b"], [1, 2], [1, 0, 1]]


def test_the_files_of_all_experiences_are_hashed_together(tmp_path: Path) -> None:
    stream_of_files(tmp_path / "data")
    asked: list[list[str]] = []

    def executor(look: Callable[[IndexedFile], IndexedFile], files: Sequence[IndexedFile]) -> Iterator[IndexedFile]:
        asked.append([file.location.name for file in files])
        return map(look, files)

    pipeline = load_text(
        f"name: x\nstream: {{dataset: {{name: parquet, path: {tmp_path / 'data'}}}, setting: domain-incremental, "
        "lanes: 2, experiences: 2}\nmodel: mlp\nstrategy: [naive]\n"
    )
    found = []
    for store in (Kept(executor=executor), None):
        stream = make_stream(pipeline, store)
        if store is not None:
            hash_blocks(stream)
        found.append([(stream.fingerprint(one), stream.test_fingerprint(one)) for one in range(2)])
    assert found[0] == found[1]
    # All are looked at, for their classes; those that are not learned are not read.
    assert [one for one in asked if one] == [["0.parquet", "1.parquet", "2.parquet"], ["0.parquet", "1.parquet"]]


def test_an_interrupted_index_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_index, "SAVE_S", 0.0)
    paths, kept = written(tmp_path), Kept()
    paths[2].write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"2\.parquet: not a readable"):
        BlockIndex(reader(), kept).files(locations(*paths))
    write(paths[2], *rows(12, 2), (5, 3, 4))
    counting = reader()
    BlockIndex(counting, kept).files(locations(*paths))
    assert counting.looked == ["2.parquet"]
    alone = Kept()
    BlockIndex(reader(), alone).files(locations(*reversed(paths)))
    assert kept.data == alone.data
