"""What people's files have wrong, in every format: an error that names the file, the row and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets import csv_files, jsonl_files, npz
from pipelines.data.datasets import parquet as parquet_files
from pipelines.data.datasets.dataset import ExperienceDataset, adopt

Rows = list[dict[str, Any]]
LOAD: dict[str, Any] = {
    "csv": csv_files.load, "jsonl": jsonl_files.load, "parquet": parquet_files.load, "npz": npz.load
}  # fmt: skip
TYPED = ("jsonl", "parquet", "npz")


def rows(**changed: Any) -> Rows:
    """Twelve rows; `x=...` and such replace the value of row 5, or the column by None."""
    made: Rows = [{"id": f"i{k}", "x": k / 2, "label": "ab"[k % 2]} for k in range(12)]
    for name, value in changed.items():
        for number, row in enumerate(made):
            if value is None:
                del row[name]
            elif number == 5:
                row[name] = None if value is ... else value
    return made


def write(file: Path, data: Rows) -> Path:
    file.parent.mkdir(exist_ok=True)
    if file.suffix == ".csv":
        cells = [[("" if value is None else str(value)) for value in row.values()] for row in data]
        file.write_text("\n".join(",".join(line) for line in [list(data[0]), *cells]) + "\n")
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in data))
    elif file.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(data), file)
    else:
        np.savez(file, **{name: np.array([row[name] for row in data]) for name in data[0]})  # type: ignore[arg-type]
    return file


def read(path: Path, form: str, **options: Any) -> None:
    given = {"id": "id", "label": "label"} | ({"inputs": "x"} if form == "npz" else {}) | options
    found = adopt(form, LOAD[form](str(path), **given))
    if isinstance(found, ExperienceDataset):
        for index in range(len(found)):
            found.train(index), found.test(index)


@pytest.mark.parametrize(
    ("changed", "forms", "words"),
    [
        (
            {"label": None},
            LOAD,
            r"has no (column|array) 'label'; it has id, x: Name the (column|array) in dataset\.label",
        ),
        ({"id": None}, LOAD, r"has no (column|array) 'id'; it has x, label: Name the (column|array) in dataset\.id"),
        ({"x": "lots"}, ["csv"], r"column 'x' is not numbers: it has 'lots' in row 5\. Correct the row"),
        ({"x": "lots"}, ["jsonl"], r"column 'x' is number before row 5, and string in it"),
        ({"x": "lots"}, ["npz"], r"inputs must be numbers"),
        (
            {"x": ...},
            ["csv", "jsonl", "parquet"],
            r"column 'x' has no value in row 5 .* dataset\.features takes missing",
        ),
        ({"label": ...}, ["csv", "jsonl", "parquet"], r"column 'label' has no value in row 5 \(1 such rows\)\. Fill"),
        ({"x": float("inf")}, LOAD, r"the input in row 5 has values that are NaN or infinite"),
        ({"label": 7}, ["jsonl"], r"column 'label' is string before row 5, and number in it"),
        ({"id": "i2"}, LOAD, r"id 'i2' occurs more than once: in rows 2 and 5\. Make the ids different, or leave out"),
    ],
)
def test_a_fault_in_a_row_or_a_column(tmp_path: Path, changed: dict[str, Any], forms: Any, words: str) -> None:
    for form in forms:
        file = write(tmp_path / f"f.{form}", rows(**changed))
        with pytest.raises(DataError, match=rf"/f\.{form}: {words}"):
            read(file, form)


@pytest.mark.parametrize("form", LOAD)
def test_empty_and_torn_files(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"f.{form}"
    for data in (b"", b"hello\0\xff"):
        file.write_bytes(data)
        with pytest.raises(
            DataError, match=rf"/f\.{form}: (the file is empty|not a readable|line 1 is not UTF-8)"
        ) as caught:
            read(file, form)
        assert "pickle" not in str(caught.value)
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows()).slice(0, 0), file)
    elif form == "npz":
        np.savez(file, id=np.zeros(0, "U2"), x=np.zeros((0, 1)), label=np.zeros(0, "U1"))
    else:
        file.write_text("id,x,label\n" if form == "csv" else "\n")
    with pytest.raises(DataError, match=rf"/f\.{form}: .*(no rows|is empty)"):
        read(file, form)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_label_that_training_has_not(tmp_path: Path, form: str) -> None:
    test = write(tmp_path / f"test.{form}", rows(label="zebra"))
    with pytest.raises(DataError, match=rf"test\.{form}: label 'zebra' in row 5 does not fit: the 2 classes are a, b"):
        read(write(tmp_path / f"f.{form}", rows()), form, test=str(test))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("other", "words"),
    [
        (["z", "y"], r"it lacks 'x' and has also 'z'\."),
        (["y", "x"], r"it has them in another order\."),
        (["x"], r"it lacks 'y'\."),
    ],
)
def test_files_with_other_columns_are_no_experiences_of_one_stream(
    tmp_path: Path, form: str, other: list[str], words: str
) -> None:
    """With as many columns they would be taken for one another."""

    def made(names: list[str], prefix: str) -> Rows:
        return [{"id": f"{prefix}{k}", **{name: float(k) for name in names}, "label": "ab"[k % 2]} for k in range(12)]

    first, second = tmp_path / f"d/1.{form}", tmp_path / f"d/2.{form}"
    write(first, made(["x", "y"], "i")), write(second, made(other, "j"))
    said = rf"/2\.{form}: its inputs are not the columns of 1\.{form}: {words} Name the columns in dataset\.inputs"
    with pytest.raises(DataError, match=said):
        read(tmp_path / "d", form)
    with pytest.raises(DataError, match=said):
        read(first, form, test=str(second))
    if "another" in words:
        read(tmp_path / "d", form, inputs=["x", "y"])


@pytest.mark.parametrize(
    ("encoding", "words"), [("latin-1", r"line {} is not UTF-8 \(byte 0xe9\)"), ("utf-16", "is UTF-16")]
)
def test_encodings_other_than_utf8(tmp_path: Path, encoding: str, words: str) -> None:
    for form, line in (("csv", 7), ("jsonl", 6)):
        file = tmp_path / f"f.{form}"
        if form == "csv":
            write(file, rows(label="é"))
        else:
            file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(label="é")))
        file.write_bytes(file.read_text("utf-8").encode(encoding))
        with pytest.raises(DataError, match=rf"/f\.{form}: {words.format(line)}.*: save .* as UTF-8"):
            read(file, form)


@pytest.mark.parametrize(("sign", "name"), [(";", "a semicolon"), ("\t", "a tab"), ("|", "a bar")])
def test_another_delimiter(tmp_path: Path, sign: str, name: str) -> None:
    file = write(tmp_path / "f.csv", rows())
    file.write_text(file.read_text().replace(",", sign))
    with pytest.raises(DataError, match=rf"/f\.csv: .* not separated by a comma, but by {name}: .*dataset\.delimiter"):
        read(file, "csv")
    read(file, "csv", delimiter=sign)
    file.write_text(file.read_text() + f"i99{sign}1{sign}a{sign}more\n")
    with pytest.raises(DataError, match=r"/f\.csv: line 14 has 4 columns, where the first has 3: "):
        read(file, "csv", delimiter=sign)
