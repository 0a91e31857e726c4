from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.config.sections.source_section import SourceSpec
from pipelines.data.datasets.arriving_files import ArrivingFiles, FileBytes
from pipelines.data.datasets.labels import LabelMap
from pipelines.data.datasets.npz import load

CSV = b"a,b,label,at\n1,2,cat,2026-01-02\n3,4,dog,2026-01-03\n5,6,cat,2026-01-01\n7,8,dog,2026-01-01\n"
JSONL = (
    b'{"a": 1, "b": 2, "label": "cat", "at": 5}\n{"a": 3, "b": 4, "label": "dog", "at": 7}\n'
    b'{"a": 5, "b": 6, "label": "cat", "at": 1}\n{"a": 7, "b": 8, "label": "dog", "at": 2}\n'
)


def source(name: str = "csv", **options: Any) -> SourceSpec:
    return SourceSpec.model_validate({"path": "in", "format": name, **options})


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def parquet(**columns: Any) -> bytes:
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


ROWS = {"a": [1.0, 3.0], "b": [2.0, 4.0], "label": ["cat", "dog"], "at": ["2026-01-01", "2026-01-03"]}


@pytest.mark.parametrize(
    ("name", "data", "time"),
    [("csv", CSV, "2026-01-03"), ("jsonl", JSONL, 7.0), ("parquet", parquet(**ROWS), "2026-01-03")],
)
def test_columns_are_named_and_the_time_is_no_input(name: str, data: bytes, time: Any) -> None:
    held = ArrivingFiles(source(name, time="at")).contents("x", data)
    assert (held.shape, held.names, held.time) == ((2,), ("a", "b"), time)
    assert held.labels.tolist() == ["cat", "dog"] and held.rows in (2, 4)


def test_arrays_are_read_with_their_time() -> None:
    data = npz(x=np.zeros((3, 2, 2), "uint8"), y=[0, 1, 1], at=[1, 9, 4])
    held = ArrivingFiles(source("npz", time="at")).contents("x", data)
    assert (held.rows, held.shape, held.dtype, held.names, held.time) == (3, (2, 2), "uint8", None, 9.0)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("csv", CSV[:-12], "line 5 has 3 columns"),
        ("csv", b"", "x: the file is empty"),
        ("parquet", b"PAR1 torn", "not a readable parquet file"),
        ("npz", npz(x=np.array([[np.nan]]), y=[0]), "values that are NaN or infinite"),
        ("npz", npz(x=np.zeros((0, 2)), y=np.zeros(0, int)), "x: it has no rows"),
        ("npz", npz(x=np.zeros((2, 2)), y=[0]), "2 inputs, but 1 labels"),
    ],
)
def test_what_cannot_be_read_is_said(name: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ArrivingFiles(source(name)).contents("x", data)


@pytest.mark.parametrize(
    ("name", "data"),
    [("csv", CSV), ("jsonl", JSONL), ("parquet", parquet(**ROWS)), ("npz", npz(x=np.ones((2, 2)), y=[0, 1]))],
)
def test_a_column_that_is_missing_is_named_as_the_source_names_it(name: str, data: bytes) -> None:
    with pytest.raises(DataError, match=r"x: has no (column|array) 'nr'; .*Name the \1 in stream\.source\.id$"):
        ArrivingFiles(source(name, id="nr")).contents("x", data)


def test_an_experience_of_one_file_is_that_of_the_dataset(tmp_path: Any) -> None:
    """The same rows, ids and test rows as a folder with this file."""
    random = np.random.default_rng(0)
    data = npz(x=random.normal(size=(30, 3)), y=random.permutation(np.resize([0, 1, 2], 30)))
    (tmp_path / "a.npz").write_bytes(data)
    dataset: Any = load(str(tmp_path), classes=3)
    ours = ArrivingFiles(source("npz", classes=3)).samples([("a.npz", data)], LabelMap(3), 0)
    for mine, theirs in zip(ours, (dataset.train(0), dataset.test(0)), strict=True):
        whole = torch.arange(len(mine))
        assert mine.ids.tolist() == theirs.ids.tolist()
        assert torch.equal(mine.take(whole)[0], theirs.take(whole)[0])
        assert torch.equal(mine.targets, theirs.targets)


def test_files_together_are_numbered_on() -> None:
    files = [("a", npz(x=np.zeros((4, 2)), y=[0, 0, 1, 1])), ("b", npz(x=np.ones((2, 2)), y=[1, 1]))]
    train, test = ArrivingFiles(source("npz", classes=2)).samples(files, LabelMap(2), 3)
    assert sorted(train.ids.tolist() + test.ids.tolist()) == [(3 << 40) + row for row in range(6)]
    assert (len(train), len(test)) == (4, 2)


def test_files_that_cannot_be_learned_from_together_are_refused() -> None:
    reader = ArrivingFiles(source("npz", classes=2, id="id"))
    twice = [(name, npz(x=np.zeros((2, 2)), y=[0, 0], id=[1, 2])) for name in "ab"]
    with pytest.raises(DataError, match="a to b: id 1 occurs more than once"):
        reader.samples(twice, LabelMap(2), 0)
    with pytest.raises(DataError, match="a: leaves no test rows: no class of it has two rows"):
        reader.samples([("a", npz(x=np.zeros((2, 2)), y=[0, 1], id=[1, 2]))], LabelMap(2), 0)


def test_bytes_are_read_as_a_file() -> None:
    with FileBytes("x", b"abc").open() as file:
        assert file.read() == b"abc"
