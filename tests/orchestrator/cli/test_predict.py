"""`everlearn predict`: rows in, classes out, and errors of a line or two."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.prediction.conftest import Trained, trained

__all__ = ["trained"]


def test_a_file_is_predicted(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained.rows.to_parquet("in.parquet")
    asked = ["predict", str(trained.file), "--input", "in.parquet", "--output", "out.csv"]
    found = documented(capsys, 0, *asked)
    assert found["rows"] == 60 == sum(found["predicted"].values()) and found["output"] == "out.csv"
    assert pd.read_csv("out.csv")["tx"].tolist() == trained.rows["tx"].tolist()
    assert invoke(asked) == 2
    assert capsys.readouterr().err.splitlines() == ["--output out.csv: exists already: --force replaces it"]
    assert invoke([*asked, "--force", "--ref", found["commit"][:8]]) == 0
    assert "60 rows by commit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ref", "champion", "--input", "in.csv", "--output", "o.csv"], "no commit 'champion' in pipeline t"),
        (["--input", "nothing.csv", "--output", "o.csv"], "nothing.csv: there is no such file"),
        (["--input", "in.csv", "--output", "o.xlsx"], "--output o.xlsx: must be a file"),
        (["--input", ".", "--output", "o.csv"], "--input .: is a folder"),
    ],
)
def test_bad_input_is_an_error_of_few_lines(
    options: list[str],
    said: str,
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["predict", str(trained.file), *options]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[0] and len(lines) <= 3 and not list(tmp_path.iterdir())
