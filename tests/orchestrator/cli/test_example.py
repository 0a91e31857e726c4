import json
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke


def test_examples_are_listed_those_of_papers_apart(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["example"]) == 0
    first, _, papers = capfd.readouterr().out.partition("The protocols of papers")
    assert "split-digits" in first and "split-mnist-class-er" not in first and "split-mnist-class-er" in papers
    assert invoke(["example", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert rows["split-digits"]["dataset"] == "digits" and not rows["split-digits"]["published"]
    assert rows["split-mnist-class-er"]["published"]


def test_an_example_is_written_here_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["example", "split-digits"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "wrote    split-digits.yaml" and lines[1].startswith("data     digits: Handwritten digits")
    assert lines[2].endswith("run split-digits.yaml")
    assert invoke(["validate", "split-digits.yaml"]) == 0
    file = tmp_path / "split-digits.yaml"
    file.write_text("mine")
    assert invoke(["example", "split-digits"]) == 2
    assert "exists already" in capfd.readouterr().err and file.read_text() == "mine"
    assert invoke(["example", "split-digits", "--force", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["written"] == ["split-digits.yaml"] and document["commands"] == ["run split-digits.yaml"]
    assert file.read_text() != "mine"
    assert invoke(["example", "split-digts"]) == 2
    assert "did you mean 'split-digits'" in capfd.readouterr().err
