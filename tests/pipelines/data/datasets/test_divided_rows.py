"""Rows that say themselves which are for testing: by the value of a column, or by the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.datasets.divided_rows import divided
from pipelines.data.datasets.held_out_part import TestPart
from pipelines.data.datasets.npz_reader import NpzReader
from pipelines.data.streams import build_stream
from strategies.api.data import Samples


@pytest.mark.parametrize("features", ["", ", features: auto"])
@pytest.mark.parametrize("form", ["{column: split, value: test}", "{time: at, last: 30%}"])
def test_rows_say_themselves_what_they_are_for(form: str, features: str, tmp_path: Path) -> None:
    count = 40
    rows = pd.DataFrame({"key": np.arange(count) * 3, "x": np.arange(count) % 7 + 0.5, "site": np.arange(count) % 2})
    rows["at"] = [f"2026-01-{1 + day:02}T00:00:00" for day in np.arange(count) // 4 * 2 % 20]
    rows["split"] = np.where(rows["key"] % 5, "train", "test")
    rows["y"] = np.where(rows["x"] > 3, "low", "high")
    if "time" in form:
        rows = rows.drop(columns="split")
    (tmp_path / "many").mkdir()
    for kind, write in (("csv", pd.DataFrame.to_csv), ("parquet", pd.DataFrame.to_parquet)):
        write(rows, tmp_path / f"one.{kind}", index=False)
        write(rows[::-1], tmp_path / "many" / f"0.{kind}", index=False)
        options = f", test: {form}{features}"
        for path, extra in ((f"one.{kind}", ", by: site"), ("many", "")):
            text = (
                "name: t\nmodel: mlp\nstream:\n  setting: domain-incremental\n"
                f"  dataset: {{name: {kind}, path: {tmp_path / path}, label: y, id: key{options}{extra}}}\n"
            )
            if not features and "time" not in form:  # a column of text is no input
                text = text.replace("label: y", f"label: y, inputs: {['x', 'site'] if path == 'many' else ['x']}")
            found = build_stream(load_text(text).stream, 0)
            for experience in found:
                own = rows if path == "many" else rows[rows["site"] == experience.index]
                if "time" in form:
                    cut = sorted(own["at"])[len(own) - round(0.3 * len(own))]
                    chosen = own["at"] >= cut
                else:
                    chosen = own["split"] == "test"
                assert set(experience.test.ids.tolist()) == set(own["key"][chosen])
                assert set(experience.train.ids.tolist()) == set(own["key"][~chosen])
            if found.preprocessing is not None:  # a column of times may be a feature, one that says the side is none
                used = {column.name for column in found.preprocessing.encoders}
                assert used == ({"x", "at", "site"} if path == "many" else {"x", "at"})


def write_one_moment(folder: Path) -> None:
    """`0.csv` with six rows of one moment, half of them marked as test rows."""
    rows = pd.DataFrame({"x": np.arange(6.0), "at": "2026-01-01", "split": ["test", "train"] * 3, "y": [0, 1] * 3})
    rows.to_csv(folder / "0.csv", index=False)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("{column: split, value: tset}", r"has no test rows: those whose column 'split' is tset .* it has test, train"),
        ("{column: split}", r"dataset\.test: .*must be one of \{id_hash: share\}, \{column: NAME, value: VALUE\}"),
        ("{time: at, last: 300%}", r"dataset\.test\.last: must be below 1"),
        ("{time: at, last: 20%}", r"0\.csv has no training rows: the last 20% by 'at' .* all are of one moment"),
        ("{column: part, value: test}", r"column 'part'|no column"),
    ],
)
def test_a_part_that_is_empty_is_said(form: str, message: str, tmp_path: Path) -> None:
    write_one_moment(tmp_path)
    with pytest.raises(PipelineError, match=message):
        options = f"name: csv, path: {tmp_path}, label: y, inputs: [x], test: {form}"
        build_stream(load_text(f"name: t\nmodel: mlp\nstream: {{dataset: {{{options}}}}}").stream, 0)


def by_id(samples: Samples) -> dict[int, tuple[list[float], int]]:
    """The input and the target of each sample."""
    inputs, targets = samples.take(torch.arange(len(samples)))
    return dict(zip(samples.ids.tolist(), zip(inputs.tolist(), targets.tolist(), strict=True), strict=True))


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("form", ["{column: split, value: true}", "{id_hash: 30%}"])
def test_lanes_have_the_test_rows_that_memory_has(form: str, kind: str, tmp_path: Path) -> None:
    rows = pd.DataFrame({"key": [f"row {n}" for n in range(60)], "x": np.arange(60) % 7 + 0.5, "split": False})
    rows.loc[rows.index % 5 == 1, "split"] = True
    rows["y"] = np.where(rows["x"] > 3, "low", "high")
    (tmp_path / "many").mkdir()
    for path, some in ((f"one.{kind}", rows), (f"many/0.{kind}", rows[::-1])):
        if kind == "parquet":
            some.to_parquet(tmp_path / path, index=False, row_group_size=7)
        elif kind == "csv":
            some.to_csv(tmp_path / path, index=False)
        else:
            some.to_json(tmp_path / path, orient="records", lines=True)
    for path, setting in ((f"one.{kind}", "class-incremental, experiences: 2"), ("many", "domain-incremental")):
        for features in ("inputs: x", "features: auto"):
            found = []
            for lanes in ("", ", lanes: 2, window: 1"):
                text = (
                    f"name: t\nmodel: mlp\nstream:\n  {{setting: {setting}{lanes}, dataset: {{name: {kind}, "
                    f"path: {tmp_path / path}, label: y, id: key, {features}, test: {form}}}}}\n"
                )
                stream = build_stream(load_text(text).stream, 0)
                found.append([by_id(part) for one in stream for part in (one.train, one.test)])
            assert found[0] == found[1] and all(found[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "test: {time: at, last: 20%}",
            r"leave out dataset\.test\.time\. A column .* dataset\.test: \{column",
        ),
        ("test: {id_hash: 20%}", r"needs the column of the ids here: name it, dataset\.id"),
        ("test: {column: split, value: test}, by: at", r"leave out dataset\.by or dataset\.test\.column"),
        ("test: {column: split, value: tset}", r"0\.csv has no test rows"),
        ("test: {column: splat, value: test}", r"column 'splat'"),
    ],
)
def test_what_lanes_cannot_divide_is_refused(options: str, message: str, tmp_path: Path) -> None:
    write_one_moment(tmp_path)
    path = tmp_path / "0.csv" if "by" in options else tmp_path
    with pytest.raises(PipelineError, match=message):
        given = f"name: csv, path: {path}, label: y, inputs: [x], {options}"
        build_stream(load_text(f"name: t\nmodel: mlp\nstream: {{lanes: 2, dataset: {{{given}}}}}").stream, 0)


def test_arrays_have_no_columns() -> None:
    with pytest.raises(PipelineError, match=r"stream\.dataset\.test: rows have no column 'at' here: use id_hash"):
        divided(NpzReader("x", "y", None), TestPart(time="at", last=0.2))
