import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import everlearn


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    labels = np.arange(120) % 4
    inputs = np.random.RandomState(0).rand(120, 4).astype(np.float32) + np.eye(4, dtype=np.float32)[labels] * 3
    np.savez(tmp_path / "blobs.npz", x=inputs, y=labels)
    return tmp_path


def test_the_file_is_written_once_and_is_valid(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init", "blobs.npz"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "wrote    blobs.yaml" in lines and lines[0].startswith("found    Inputs from the array 'x'")
    assert invoke(["validate", "blobs.yaml"]) == 0
    assert "blobs.yaml is valid" in capfd.readouterr().out
    (data / "blobs.yaml").write_text("mine")
    assert invoke(["init", "blobs.npz"]) == 2
    assert "exists already" in capfd.readouterr().err and (data / "blobs.yaml").read_text() == "mine"
    assert invoke(["init", "blobs.npz", "--write", "other.yaml", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["written"] == "other.yaml"
    assert invoke(["init", "blobs.npz", "--force"]) == 0
    assert (data / "blobs.yaml").read_text() == (data / "other.yaml").read_text()
    assert invoke(["init", "blobs.npz", "--write", "nowhere/x.yaml"]) == 2
    assert "cannot be written" in capfd.readouterr().err


def test_what_is_not_supported_says_what_is(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (data / "t.xlsx").write_text("a,b\n1,2\n")
    assert invoke(["init", "t.xlsx"]) == 2
    assert ".npz or .parquet files" in capfd.readouterr().err
    assert invoke(["init", "blobs.npz", "--label", "z"]) == 2
    assert "has no array 'z'" in capfd.readouterr().err


@pytest.mark.slow
def test_the_file_runs(data: Path) -> None:
    assert everlearn("init", "blobs.npz", cwd=data).returncode == 0
    done = everlearn("run", "blobs.yaml", "--json", cwd=data)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["average_accuracy"] > 0.7
