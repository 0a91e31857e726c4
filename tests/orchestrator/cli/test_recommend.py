import json
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.lineages import write_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path)
    return tmp_path


def test_a_person_gets_methods_reasons_and_a_snippet(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["recommend", "small.yaml"]) == 0
    text = capsys.readouterr().out
    words = " ".join(text.split())
    assert "class-incremental; test samples have no task labels; 10 past samples may be stored" in words
    assert "1. der" in words and "Buzzega et al. 2020" in words and "64.88 %" in words
    assert "  - {name: der, capacity: 10}" in text and "not recommended" in text
    assert all(len(line) <= 100 for line in text.splitlines() if "kept" not in line)


def test_json_has_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        invoke(["recommend", "small.yaml", "--memory", "0", "--set", "stream.setting=task-incremental", "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["situation"] == {
        "setting": "task-incremental", "online": False, "memory": 0, "task_labels": True, "family": ""
    }  # fmt: skip
    assert document["suggestions"][0]["strategies"] == [{"name": "lwf"}] and document["suggestions"][0]["needs"] == []
    assert "none may be kept" in " ".join(document["unfit"]["replay"])
    assert document["snippet"] == "strategy:\n  - {name: lwf}\n" and document["current"] == ["replay"]


def test_what_is_wrong_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["recommend", "absent.yaml"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert invoke(["recommend", "small.yaml", "--memory", "-1"]) == 2
