"""One file that a column divides into experiences.

Covers: `pipelines/data/datasets/table_reader.py`.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet as arrow

from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets import csv_files, jsonl_files, parquet
from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.data.datasets.table_reader import Table

ROWS = 60
SITES = np.array([f"site{10 - n % 3}" for n in range(ROWS)])  # site8, site9 and site10, mixed
X, Y, CLASS = np.arange(ROWS, dtype=float), np.arange(ROWS) / 7 + 100, np.arange(ROWS) % 2


def write(kind: str, folder: Path, name: str = "rows", sites: Any = SITES) -> tuple[Any, str]:
    """A file of the format with the columns x, y, kind and site."""
    table = {"x": X.tolist(), "y": Y.tolist(), "kind": CLASS.tolist(), "site": np.asarray(sites).tolist()}
    path = folder / f"{name}.{kind}"
    if kind == "parquet":
        arrow.write_table(pyarrow.table(table), path)
        return parquet.load, str(path)
    rows = list(zip(*table.values(), strict=True))
    if kind == "csv":
        path.write_text("\n".join([",".join(table), *(",".join(map(str, row)) for row in rows)]))
        return csv_files.load, str(path)
    path.write_text("\n".join(json.dumps(dict(zip(table, row, strict=True))) for row in rows))
    return jsonl_files.load, str(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_each_value_is_an_experience_with_a_test_part_of_its_own(kind: str, tmp_path: Path) -> None:
    load, path = write(kind, tmp_path)
    found = pickle.loads(pickle.dumps(load(path, by="site", label="kind", inputs=["x", "y"])))
    assert isinstance(found, ExperienceDataset) and len(found) == 3 and found.classes == 2
    for index, site in enumerate(("site8", "site9", "site10")):
        rows = set(np.flatnonzero(site == SITES).tolist())
        train, test = found.train(index), found.test(index)
        assert set(train.ids.tolist()) | set(test.ids.tolist()) == rows
        assert (len(train), len(test)) == (16, 4) and found.classes_of(index) == (0, 1)
        # Of each class the same part is held out.
        assert torch.bincount(test.targets).tolist() == [2, 2]
        assert train.take(torch.arange(1))[0].tolist()[0][0] == float(train.ids[0])
    numbers = load(path, by="site", label="y", target_kind="numbers", inputs="x")
    assert isinstance(numbers, ExperienceDataset) and numbers.classes_of(0) == ()
    assert torch.equal(numbers.train(0).targets[:, 0], torch.from_numpy(Y)[numbers.train(0).ids])


def test_the_column_is_no_input_and_a_test_file_has_it_too(tmp_path: Path) -> None:
    load, path = write("csv", tmp_path, sites=CLASS + 2020)
    _, test = write("csv", tmp_path, "test", sites=CLASS + 2020)
    found = load(path, test=test, by="site", label="y", target_kind="numbers")
    assert found.input_shape == (2,) and [len(found.train(i)) for i in range(2)] == [30, 30]
    assert torch.equal(found.test(1).targets, found.train(1).targets)
    with pytest.raises(DataError, match=r"rows.csv.*'cite'|'cite'"):
        load(path, by="cite", label="y", target_kind="numbers")
    _, short = write("csv", tmp_path, "short", sites=CLASS * 0 + 2020)
    with pytest.raises(DataError, match=r"short\.csv: has no test rows of 2021, which"):
        load(path, test=short, by="site", label="y", target_kind="numbers")
    with pytest.raises(DataError, match=r"one file for each experience: leave out dataset\.by"):
        load(str(tmp_path), by="site", label="y", target_kind="numbers")


def test_features_are_fitted_on_the_first_of_the_experiences(tmp_path: Path) -> None:
    _, path = write("csv", tmp_path)
    text = f"""
name: sites
objective: regression
stream:
  dataset: {{name: csv, path: {path}, label: y, by: site, features: {{numeric: [x], ignore: [kind]}}}}
  setting: domain-incremental
model: mlp
"""
    stream = make_stream(load_text(text, "sites.yaml"))
    assert len(stream) == 3 and stream.outputs == 1 and stream.preprocessing is not None
    first = stream[0].train
    inputs = first.take(torch.arange(len(first)))[0]
    torch.testing.assert_close(inputs[:, 0].mean(), torch.tensor(0.0), rtol=0, atol=1e-5)
    assert Table(X, Y, None).groups is None
