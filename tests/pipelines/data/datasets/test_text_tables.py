"""What CSV and JSON Lines have in common: the same laws for both."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import fs

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets import csv_files, jsonl_files
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from tests.pipelines.data.datasets.test_parquet import bucket  # noqa: F401 (a fixture)
from tests.pipelines.data.made_streams import stream

Row = dict[str, Any]
LOAD = {"csv": csv_files.load, "jsonl": jsonl_files.load}
kinds = pytest.mark.parametrize("kind", ["csv", "jsonl"])


def encoded(kind: str, rows: Sequence[Row]) -> bytes:
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    lines = [",".join(rows[0]), *(",".join(_cell(value) for value in row.values()) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def _cell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def write(folder: Path, name: str, kind: str, rows: Sequence[Row], packed: bool = False) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{kind}{'.gz' if packed else ''}"
    data = encoded(kind, rows)
    path.write_bytes(gzip.compress(data) if packed else data)
    return str(path)


def rows_of(labels: Sequence[Any], start: int = 0) -> list[Row]:
    return [{"a": start + i, "b": i / 2, "who": f"p{start + i}", "label": label} for i, label in enumerate(labels)]


@kinds
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([0, 1, 2] * 4, None),
        ([10, 15, 12] * 4, ("10", "12", "15")),
        ([-1, 1] * 6, ("-1", "1")),
        (["cat", "ä", "dog"] * 4, ("cat", "dog", "ä")),
        ([True, False] * 6, ("false", "true")),
        (["2024-01-01", "2023-05-01"] * 6, None),
    ],
)
def test_one_file_split_by_label(
    kind: str, packed: bool, labels: list[Any], names: tuple[str, ...] | None, tmp_path: Path
) -> None:
    path = write(tmp_path, "d", kind, rows_of(labels), packed)
    options: Row = {"inputs": ["a", "b"]}
    found = LOAD[kind](path, **options)
    assert isinstance(found, Dataset)
    assert (found.classes, found.input_shape) == (len(set(labels)), (2,))
    if labels[0] != "2024-01-01":
        assert found.class_names == names
    inputs, targets = found.train.take(torch.arange(len(found.train)))
    assert inputs.dtype == torch.float32
    assert inputs.tolist() == [[i, i / 2] for i in found.train.ids.tolist()]
    ordered = sorted(set(labels))
    assert targets.tolist() == [ordered.index(labels[i]) for i in found.train.ids.tolist()]
    made = stream(kind, path=path, **options, order=[[str(name)] for name in found.class_names or range(found.classes)])
    assert [experience.classes for experience in made] == [(number,) for number in range(found.classes)]
    assert made.class_names == found.class_names


@kinds
def test_a_folder_with_one_file_per_experience(kind: str, tmp_path: Path) -> None:
    for number in (2, 10, 1):
        write(tmp_path / "train", f"batch{number}", kind, rows_of(["x", "y"] * 5, 100 * number), packed=number == 1)
        write(tmp_path / "test", f"batch{number}", kind, rows_of(["y"] * 2, 100 * number + 50), packed=number == 1)
    found = LOAD[kind](str(tmp_path / "train"), test=str(tmp_path / "test"), inputs=["a"], id="who")
    assert isinstance(found, ExperienceDataset)
    assert [float(found.train(i).take(torch.tensor([0]))[0]) for i in range(3)] == [100, 200, 1000]
    assert found.test(1).targets.tolist() == [1, 1]
    assert (found.classes_of(0), found.class_names) == ((0, 1), ("x", "y"))
    copy = pickle.loads(pickle.dumps(found))
    assert torch.equal(copy.train(2).ids, found.train(2).ids)
    assert len({int(i) for index in range(3) for i in found.train(index).ids}) == 30


@kinds
def test_the_same_table_has_the_same_fingerprint_in_every_format(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, "d", kind, [{"a": i, "b": i / 2, "label": i % 3} for i in range(12)])
    x = np.stack([np.arange(12), np.arange(12) / 2], axis=1).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(12) % 3)
    one, other = (stream(name, experiences=3, path=p) for name, p in ((kind, path), ("npz", str(tmp_path / "d.npz"))))
    assert one.fingerprint(1) == other.fingerprint(1)


@kinds
def test_labels_of_test_rows_that_no_training_row_has_are_named(kind: str, tmp_path: Path) -> None:
    options: Row = {"inputs": ["a", "b"]}
    train = write(tmp_path, "train", kind, rows_of(["cat", "dog"] * 4))
    test = write(tmp_path, "test", kind, rows_of(["cat", "emu"]))
    with pytest.raises(DataError, match=r"test\..*: label 'emu' in row 1 does not fit: the 2 classes are cat, dog"):
        LOAD[kind](train, test=test, **options)
    for part, labels in (("one", ["cat", "dog"]), ("two", ["emu", "dog"])):
        write(tmp_path / part, "1", kind, rows_of(labels * 4))
    found = LOAD[kind](str(tmp_path / "one"), test=str(tmp_path / "two"), **options)
    assert isinstance(found, ExperienceDataset)
    with pytest.raises(DataError, match="label 'emu' in row 0 does not fit"):
        found.classes_of(0)


@kinds
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "lable"}, "has no column 'lable'; it has a, b, who, label: did you mean 'label'.*dataset.label"),
        ({"inputs": ["a", "c"]}, "has no column 'c'; .* Name the column in dataset.inputs"),
        ({}, "column 'who' is not numbers: it has 'p0' in row 0"),
        ({"inputs": "a", "id": "label"}, "id 'x' occurs more than once: in rows 0 and 2"),
        ({"inputs": "a", "classes": ["y", "z"]}, "label 'x' in row 0 does not fit: the 2 classes are y, z"),
    ],
)
def test_what_does_not_fit_is_named_with_its_row(kind: str, options: Row, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, "d", kind, rows_of(["x", "y"] * 4))
    with pytest.raises(DataError, match=rf"d\.{kind}: {message}"):
        LOAD[kind](path, **options)


@kinds
def test_ids_that_restart_in_every_file_are_refused_with_both_rows(kind: str, tmp_path: Path) -> None:
    for name in ("1", "2"):
        write(tmp_path / "d", name, kind, rows_of(["x", "y"] * 3))
    found = LOAD[kind](str(tmp_path / "d"), inputs="a", id="who")
    assert isinstance(found, ExperienceDataset)
    with pytest.raises(DataError, match=rf"2\.{kind}: row 0 has the id p0, which row 0 of 1\.{kind} has too"):
        found.train(1)


@kinds
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "the file is empty"),
        (lambda data: b" \n\n", "the file is empty"),
        (lambda data: data.replace(b"xx", b"x\xff"), r"line [12] is not UTF-8 \(byte 0xff\): save the file as UTF-8"),
        (lambda data: data * 90_000 + data[:-4] + b"\xe4\n", r"line \d{5,} is not UTF-8 \(byte 0xe4\)"),
        (lambda data: data.decode().encode("utf-16"), "is UTF-16, not UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(kind: str, packed: bool, change: Any, message: str, tmp_path: Path) -> None:
    path = Path(write(tmp_path, "d", kind, rows_of(["xx", "y"]), packed))
    data = change(encoded(kind, rows_of(["xx", "y"])))
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    with pytest.raises(DataError, match=message):
        LOAD[kind](str(path), inputs="a")


@kinds
def test_a_damaged_gzip_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = Path(write(tmp_path, "d", kind, rows_of(["x", "y"] * 50), packed=True))
    whole = path.read_bytes()
    for broken in (b"plain text", whole[:30], whole[:40] + b"????" + whole[44:]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=rf"d\.{kind}\.gz: (not a readable|the file is empty|line|row)"):
            LOAD[kind](str(path), inputs="a")


@kinds
def test_files_in_s3(kind: str, bucket: tuple[str, fs.S3FileSystem], tmp_path: Path) -> None:  # noqa: F811
    address, system = bucket
    for name in ("two", "one"):
        with system.open_output_stream(f"data/folder/{name}.{kind}.gz", compression=None) as target:
            target.write(gzip.compress(encoded(kind, rows_of(["x", "y"] * 5))))
    found = LOAD[kind](f"{address}/folder/", inputs=["a", "b"])
    assert isinstance(found, ExperienceDataset)
    assert (len(found), len(found.train(1))) == (2, 8)
