import json
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from pipelines.config.example_files import examples


def test_examples_are_listed_those_of_papers_apart(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert invoke(["example"]) == 0
    short = capfd.readouterr().out.splitlines()
    assert len(short) < 40 and max(map(len, short)) <= 80 and not any("…" in line for line in short)
    assert invoke(["example", "--all"]) == 0
    listing = capfd.readouterr().out
    first, _, papers = listing.partition("The protocols of papers")
    names = [one.name for one in examples()]
    assert all(sum(line.split()[:1] == [name] for line in listing.splitlines()) == 1 for name in names)
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
