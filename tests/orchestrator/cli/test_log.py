import json
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from tests.orchestrator.cli.lineages import write_lineage, write_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERLEARN_STORAGE", raising=False)
    write_pipeline(tmp_path)
    return tmp_path


def test_newest_first_with_short_ids_classes_metrics_and_refs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = write_lineage(folder)
    Lineage(FolderStore(folder / ".everlearn/store"), "small").point("champion", chain[0].id)
    assert invoke(["log", "small.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == [commit.id[:12] for commit in reversed(chain)]
    assert lines[0].endswith("experience 2   classes 4 5  (latest)")
    assert lines[4].endswith("(champion)")
    assert "accuracy 80.0 %   forgetting 15.0 %" in lines[1]
    assert lines[5].endswith("accuracy 90.0 %")


def test_json_has_everything_in_the_same_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = write_lineage(folder)
    assert invoke(["log", "small.yaml", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pipeline"] == "small"
    assert [entry["id"] for entry in document["commits"]] == [commit.id for commit in reversed(chain)]
    newest, oldest = document["commits"][0], document["commits"][-1]
    assert newest["parent"] == chain[1].id and newest["refs"] == ["latest"]
    assert newest["experience"]["classes"] == [4, 5]
    assert newest["metrics"]["average_accuracy"] == pytest.approx(0.8)
    assert newest["metrics"]["forward_transfer"] == pytest.approx(-0.1)
    assert oldest["metrics"]["forgetting"] is None


def test_before_the_first_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["log", "small.yaml"]) == 0
    assert capsys.readouterr().out == "small has no commits yet. Train it: everlearn run small.yaml\n"
    assert invoke(["log", "small.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pipeline": "small", "commits": []}


def test_another_store(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = write_lineage(folder / "elsewhere")
    assert invoke(["log", "small.yaml", "--set", "storage=elsewhere/.everlearn/store"]) == 0
    assert chain[-1].id[:12] in capsys.readouterr().out


def test_a_damaged_commit_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = write_lineage(folder)
    file = folder / f".everlearn/store/small/commits/{chain[1].id}.json"
    file.write_bytes(file.read_bytes()[:-10])
    assert invoke(["log", "small.yaml"]) == 3
    assert chain[1].id in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["log", "missing.yaml"]) == 2
    assert "missing.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["log", "gc", "run"])
def test_a_storage_that_is_no_folder(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([command, "small.yaml", "--set", "storage=/dev/null"]) == 3
    assert "/dev/null" in capsys.readouterr().err
