"""The output of `predict`: it is there when it is complete, and what was there before stays."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from orchestrator.prediction.output_file import output_file
from pipelines.config.pipeline_errors import PipelineError

TABLE = pa.table({"prediction": ['a "b", c', "é"], "p": pa.array([0.5, None], pa.float32())})


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before")
    with pytest.raises(RuntimeError), output_file(target, replace=True) as out:
        out.write(TABLE)
        raise RuntimeError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"] and target.read_text() == "before"
    with output_file(target, replace=True) as out:
        out.write(TABLE)
    assert target.read_text().splitlines()[1] == '"a ""b"", c",0.5'


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    with pytest.raises(PipelineError, match="exists already"), output_file(target, replace=False) as out:
        out.write(TABLE)
        target.write_text("another's")
    assert target.read_text() == "another's" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out.txt", "must be a file on this machine that ends in .parquet, .csv, .jsonl"),
        ("there.csv", "exists already: --force replaces it"),
        ("folder.csv", "is a folder"),
        ("nowhere/out.csv", "cannot be written: No such file"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(PipelineError, match=said), output_file(tmp_path / name, replace=False):
        raise AssertionError("unreachable")
