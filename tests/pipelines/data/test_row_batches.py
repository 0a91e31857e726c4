"""Files of any size in batches: the same rows as read at once, errors with their row, and bounded memory."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location
from pipelines.data.row_batches import array_batches, table_batches


def whole(path: Path, rows: int = 5, **kinds: Any) -> pa.Table:
    def wanted(names: Sequence[str]) -> list[str]:
        assert {"a", "b"} <= set(names)
        return ["b", "a"]

    batches = list(table_batches(Location(str(path)), wanted, kinds, rows))
    return pa.concat_tables(batches, promote_options="permissive")


def test_every_format_gives_the_columns_that_are_wanted(tmp_path: Path) -> None:
    numbers = list(range(23))
    parquet.write_table(pa.table({"a": numbers, "x": numbers, "b": numbers}), tmp_path / "t.parquet")
    (tmp_path / "t.tsv").write_text("a\tx\tb\n" + "".join(f"{n}\t{n}\t{n}\n" for n in numbers))
    with gzip.open(tmp_path / "t.jsonl.gz", "wt") as file:
        file.write("".join(f'{{"a": {n}, "x": 0, "b": {n}}}\n\n' for n in numbers))
    for name in ("t.parquet", "t.tsv", "t.jsonl.gz"):
        found = whole(tmp_path / name, a="numeric")
        assert found.column_names == ["b", "a"]
        assert found["a"].cast("int64").to_pylist() == found["b"].to_pylist() == numbers


def test_a_type_holds_for_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.data.row_batches._BLOCK", 64)
    lines = ["a,b", *["1,"] * 40, *["0.5,007"] * 40]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    found = whole(tmp_path / "t.csv", a="numeric", b="categorical")
    assert found["a"].to_pylist() == [1.0] * 40 + [0.5] * 40
    assert found["b"].to_pylist() == [None] * 40 + ["007"] * 40


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "a,b\n" + "1,1\n" * 50 + "x,1\n", r"column 'a' has 'x' in row 50"),
        ("t.csv", "a,b\n" + "1,1\n" * 50 + "1\n", r"row 50 has 1 columns, where the first line has 2"),
        ("t.csv", "", "not a readable CSV file"),
        ("t.csv.gz", "a,b\n1,1\n", "(not a readable CSV file|cannot be read): "),
        ("t.jsonl", '{"a": 1, "b": 1}\n' * 50 + "{\n", r"JSON parse error.* in row 50"),
        ("t.parquet", "nothing", "not a readable parquet file"),
    ],
)
def test_a_broken_file_is_refused_with_its_row(
    name: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.data.row_batches._BLOCK", 64)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name}: {said}"):
        whole(tmp_path / name, a="numeric", b="numeric")


def test_arrays_come_by_rows(tmp_path: Path) -> None:
    x = np.arange(66, dtype=np.float32).reshape(11, 3, 2)
    np.savez_compressed(tmp_path / "t.npz", x=x, key=np.array(["a", "bc"]), turned=np.asfortranarray(x[:, :, 0]))
    where = Location(str(tmp_path / "t.npz"))
    parts = list(array_batches(where, "x", 4))
    assert [len(part) for part in parts] == [4, 4, 3] and np.array_equal(np.concatenate(parts), x)
    assert next(array_batches(where, "key", 4)).tolist() == ["a", "bc"]
    for name, said in (("y", "has no array 'y'; it has x, key, turned"), ("turned", "'turned' is stored by columns")):
        with pytest.raises(DataError, match=said):
            list(array_batches(where, name, 4))
    np.savez(tmp_path / "o.npz", x=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="'x' is no array of numbers or text"):
        list(array_batches(Location(str(tmp_path / "o.npz")), "x", 4))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.data.row_batches._BLOCK", 1 << 16)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + f"{'x' * 2000},1\n" * 3000)  # 6 MB
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() for _ in table_batches(Location(str(path)), lambda names: names, {}, 100)]
    assert len(held) > 50 and max(held) - before < 3 << 20
