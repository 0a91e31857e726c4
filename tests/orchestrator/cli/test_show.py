import json
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.lineages import write_lineage, write_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERLEARN_STORAGE", raising=False)
    write_pipeline(tmp_path)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert invoke(["show", *arguments, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_a_commit_is_found_by_the_beginning_of_its_id_by_its_whole_id_and_by_a_ref(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = write_lineage(folder)
    for word, commit in ((chain[1].id[:6], chain[1]), (chain[1].id, chain[1]), ("latest", chain[2])):
        assert shown(capsys, word)["id"] == commit.id


def test_it_is_found_in_a_file_s_pipeline_and_in_another_store(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = write_lineage(folder / "elsewhere")
    storage = "elsewhere/.everlearn/store"
    assert shown(capsys, "latest", "--storage", storage)["id"] == chain[-1].id
    assert shown(capsys, "latest", "small.yaml", "--set", f"storage={storage}")["id"] == chain[-1].id


def test_json_is_the_commit_with_its_refs_and_metrics(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit = write_lineage(folder)[1]
    document = shown(capsys, commit.id)
    metrics = document.pop("metrics")
    assert document.pop("refs") == []
    assert document == commit.document()
    assert isinstance(metrics, dict) and metrics["average_accuracy"] == pytest.approx(0.85)


def test_a_person_sees_what_made_it_how_good_it_is_and_what_is_stored(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = write_lineage(folder)
    assert invoke(["show", "latest"]) == 0
    text = capsys.readouterr().out
    assert chain[2].id in text and chain[1].id in text
    assert "2, classes 4 5" in text and "100 samples, 4 steps, 1.5 s" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["0", "70.0", "90.0", "-20.0"] in rows and ["2", "90.0", "90.0"] in rows
    assert "memory.replay, experience 0: 10 samples" in text
    assert ["0", "60.0", "2", "(14.0", "%),", "1", "(6.0", "%)"] in rows and ["5", "80.0"] in rows
    words = " ".join(text.split())
    assert "negative flips 10.0 % right before" in words and "expected calibration error 6.0 %" in words
    assert "model parameters 1,234" in words and "memory bytes 1.5 MB" in words and "training seconds 1.5 s" in words
    assert "task labels inferred during evaluation" in words and "intransigence" not in words
    assert "hidden: [8]" in text and "torch 2.13.0" in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("word", ["nonsense", "abc", "0123456789"])
def test_no_such_commit(word: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lineage(folder)
    assert invoke(["show", word]) == 2
    err = capsys.readouterr().err
    assert word in err and len(err.splitlines()) == 2


def test_an_empty_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["show", "latest"]) == 2
    assert "no commit 'latest'" in capsys.readouterr().err


def test_a_ref_of_several_pipelines_needs_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = write_lineage(folder)
    write_lineage(folder, length=2, pipeline="other")
    assert invoke(["show", "latest"]) == 2
    err = capsys.readouterr().err
    assert "matches 2 commits" in err and "(other)" in err and "(small)" in err
    assert shown(capsys, "latest", "small.yaml")["id"] == chain[-1].id


def test_settings_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["show", "latest", "--set", "name=x"]) == 2
    assert "--set needs a FILE" in capsys.readouterr().err
