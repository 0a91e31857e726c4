import json

import pytest

from orchestrator.cli.main import invoke
from pipelines.config.components import Component


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("strategies", {"naive", "ewc", "replay", "cumulative"}),
        ("datasets", {"digits", "mnist", "fashion-mnist", "npz", "parquet"}),
        ("models", {"mlp", "cnn", "resnet18-slim"}),
    ],
)
def test_every_built_in_component_is_listed_with_a_summary(
    kind: str, known: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["list", kind, "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert known <= {row["name"] for row in rows}
    assert all(row["summary"] and "cannot import" not in row["summary"] for row in rows)
    assert {row["origin"] for row in rows if row["name"] in known} == {"built-in"}


def test_strategies_are_listed_by_family_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "strategies"]) == 0
    text = capsys.readouterr().out
    families = [line for line in text.splitlines() if line and not line.startswith(" ") and ":" not in line]
    assert families == sorted(families) and {"bound", "rehearsal", "regularisation"} <= set(families)
    names = [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "]
    assert {"naive", "ewc", "replay", "cumulative"} <= set(names)


def test_one_strategy_and_all_of_them_at_length(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "strategies", "der"]) == 0
    words = " ".join(capfd.readouterr().out.split())
    assert "needs memory" in words and "keeps `capacity` samples and their logits" in words and "Buzzega" in words
    assert "replay" in words and "naive" not in words
    assert invoke(["list", "strategies", "--long"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert sum(line.strip().startswith("use it when") for line in lines) >= 12
    assert invoke(["list", "strategies", "icarl", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert row["needs"] == ["memory"] and row["family"] == "rehearsal" and "2017" in row["paper"] and row["use_when"]
    assert invoke(["list", "strategies", "iclar"]) == 2
    assert "did you mean 'icarl'" in capfd.readouterr().err


def test_where_they_come_from_is_shown_when_not_all_are_built_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Component("mine", "My own.", "my-package 1.2"), Component("mlp", "Layers.", "built-in")]
    monkeypatch.setattr("pipelines.config.components.names", lambda kind: rows)
    assert invoke(["list", "models"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["mine", "My", "own.", "my-package", "1.2"]
