from __future__ import annotations

import gzip
import io
import re
from typing import Any

import numpy as np
import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.config.sections.source_section import SourceSpec
from pipelines.data.datasets.arriving_labels import read_labels
from pipelines.data.datasets.labels import id_numbers


def source(**more: Any) -> SourceSpec:
    given = {"path": "in", "format": "csv", "id": "key", "mature": "7d", "labels": "out", "classes": 4, **more}
    return SourceSpec.model_validate(given)


def npz(**arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


def parquet(**columns: Any) -> bytes:
    import pyarrow
    from pyarrow import parquet

    held = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), held)
    return held.getvalue()


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("x.csv", b"label,more,key\n1,a,30\n0,b,20\n1,c,30\n"),
        ("x.tsv", b"key\tlabel\n30\t1\n20\t0\n30\t1\n"),
        ("x.csv.gz", gzip.compress(b"key,label\n30,1\n20,0\n30,1\n", mtime=0)),
        ("x.jsonl", b'{"key": 30, "label": 1}\n{"key": 20, "label": 0}\n{"key": 30, "label": 1}\n'),
        ("x.npz", npz(key=np.array([30, 20, 30]), y=np.array([1, 0, 1]))),
        ("x.parquet", parquet(key=[30, 20, 30], label=[1, 0, 1])),
    ],
)
def test_labels_are_read_from_files_of_any_format(key: str, data: bytes) -> None:
    found = read_labels(source(), key, data)
    assert (found.rows, found.ids.tolist(), found.labels.tolist()) == (3, [20, 30], [0, 1])


def test_ids_of_text_are_those_of_the_inputs() -> None:
    found = read_labels(source(label="risk"), "x.csv", b"key,risk\nb,high\na,low\n")
    assert found.ids.tolist() == id_numbers(np.array(["a", "b"]), "x").tolist()
    assert found.labels.tolist() == ["low", "high"]


@pytest.mark.parametrize(
    ("key", "data", "said"),
    [
        ("x.csv", b"key,label\n7,1\n8,0\n7,0\n", "x.csv: id 7 has the label 1 in row 0 and 0 in row 2: an id has one"),
        ("x.csv", b"key,label\n7,\n8,0\n", "x.csv: column 'label' has no value in row 0"),
        ("x.csv", b"key,outcome\n7,1\n", "x.csv: has no column 'label'"),
        ("x.csv", b"id,label\n7,1\n", "x.csv: has no column 'key'"),
        ("x.csv", b"key,label\n0.5,1\n", "x.csv: ids must be whole numbers or text"),
        ("x.npz", b"PK torn", "x.npz: not a readable npz file"),
        ("x.npz", npz(key=np.array([1, 2]), y=np.array([1])), "x.npz: 2 ids, but 1 labels"),
        ("x.npz", npz(key=np.zeros(0, int), y=np.zeros(0, int)), "x.npz: it has no rows"),
        ("x.parquet", b"PAR1", "x.parquet: not a readable parquet file"),
    ],
)
def test_what_is_wrong_with_a_file_of_labels(key: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=re.escape(said)):
        read_labels(source(), key, data)
