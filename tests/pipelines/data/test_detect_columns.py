import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.csv_files import read_csv
from pipelines.data.datasets.jsonl_files import read_jsonl
from pipelines.data.datasets.location import Location
from pipelines.data.detect_columns import npz_columns, parquet_columns, text_columns

ROWS = 40
X, Y = np.zeros((ROWS, 3)), np.arange(ROWS) % 4


def npz(tmp_path: Path, **arrays: Any) -> list[Location]:
    np.savez(tmp_path / "data.npz", **arrays)
    return [Location.of(str(tmp_path / "data.npz"))]


def table(tmp_path: Path, name: str = "data", **columns: Any) -> Location:
    parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    return Location.of(str(tmp_path / f"{name}.parquet"))


@pytest.mark.parametrize(
    ("arrays", "options"),
    [
        ({"x": X, "y": Y}, {}),
        ({"images": X, "labels": Y, "ids": np.arange(ROWS)}, {"inputs": "images", "label": "labels", "id": "ids"}),
        ({"some": X, "thing": Y}, {"inputs": "some", "label": "thing"}),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}, {}),
        ({"Data": X, "class": Y, "weight": np.ones(ROWS)}, {"inputs": "Data", "label": "class"}),
    ],
)
def test_arrays_by_their_names_and_shapes(tmp_path: Path, arrays: dict[str, Any], options: dict[str, str]) -> None:
    assert npz_columns(npz(tmp_path, **arrays))[0] == options


def test_arrays_that_are_not_clear(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not clear which array has the labels; it has x \(40, 3\), a .*, b"):
        npz_columns(npz(tmp_path, x=X, a=Y, b=Y))
    assert npz_columns(npz(tmp_path, x=X, a=Y, b=Y), "b")[0] == {"label": "b"}
    with pytest.raises(DataError, match="has no array 'c'"):
        npz_columns(npz(tmp_path, x=X, a=Y, b=Y), "c")
    (tmp_path / "data.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="not a readable npz file"):
        npz_columns([Location.of(str(tmp_path / "data.npz"))])


def test_columns_by_their_names_types_and_values(tmp_path: Path) -> None:
    numbers, state = list(np.linspace(0, 1, ROWS)), ["on", "off"] * (ROWS // 2)
    assert parquet_columns([table(tmp_path, a=numbers, label=state)])[0] == {}
    assert parquet_columns([table(tmp_path, a=numbers, state=state)])[0] == {"label": "state"}
    named = [f"{row}" for row in range(ROWS)]
    found, notes = parquet_columns([table(tmp_path, tx_id=named, a=numbers, label=state, note=["x"] * ROWS)])
    assert found == {"id": "tx_id", "inputs": ["a"]}
    assert any("Not used: note" in note for note in notes)
    found, _ = parquet_columns([table(tmp_path, a=numbers, pixels=[[1, 2]] * ROWS, label=state)])
    assert found == {"inputs": ["pixels"]}


def test_a_column_that_lacks_values_in_any_file_is_not_used(tmp_path: Path) -> None:
    state = ["on", "off"] * (ROWS // 2)
    files = [
        table(tmp_path, "one", a=[1.0] * ROWS, b=[1.0] * ROWS, label=state),
        table(tmp_path, "two", a=[1.0] * ROWS, b=[None] + [1.0] * (ROWS - 1), label=state),
    ]
    assert parquet_columns(files)[0] == {"inputs": ["a"]}
    with pytest.raises(DataError, match="no column besides 'label' holds numbers"):
        parquet_columns([table(tmp_path, note=["x"] * ROWS, label=state)])


def test_columns_that_are_not_clear(tmp_path: Path) -> None:
    file = table(tmp_path, a=[1, 2] * (ROWS // 2), b=[3, 4] * (ROWS // 2))
    with pytest.raises(DataError, match=r"not clear which column has the labels; name it with --label.*a, b"):
        parquet_columns([file])
    assert parquet_columns([file], "b")[0] == {"label": "b"}
    with pytest.raises(DataError, match="has no column 'c'"):
        parquet_columns([file], "c")


def test_the_index_that_pandas_stores_is_no_input(tmp_path: Path) -> None:
    file = table(tmp_path, a=X[:, 0], label=Y, __index_level_0__=np.arange(ROWS))
    assert parquet_columns([file])[1][-1] == "Inputs from the column 'a'"


def test_columns_of_text_files_are_found_as_those_of_parquet(tmp_path: Path) -> None:
    """The same table as CSV, as JSON Lines and as parquet."""
    rows = [{"key": f"k{i}", "a": i / 2, "note": f"text {i}", "kind": "xy"[i % 2]} for i in range(ROWS)]
    made = table(tmp_path, **{name: [row[name] for row in rows] for name in rows[0]})
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    expected = parquet_columns([made])
    assert expected[0] == {"label": "kind", "inputs": ["a"]}
    for name, read in (("d.csv", read_csv), ("d.jsonl", read_jsonl)):
        assert text_columns(read, [Location.of(str(tmp_path / name))]) == expected
    assert text_columns(read_csv, [Location.of(str(tmp_path / "d.csv"))], "note")[0]["label"] == "note"
