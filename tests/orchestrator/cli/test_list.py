import json

import pytest

from orchestrator.cli.main import invoke
from pipelines.components import Component


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


def test_the_table_names_them_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "strategies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "what", "it", "does"]
    names = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert names == sorted(names) and {"naive", "ewc", "replay", "cumulative"} <= set(names)


def test_where_they_come_from_is_shown_when_not_all_are_built_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Component("mine", "My own.", "my-package 1.2"), Component("mlp", "Layers.", "built-in")]
    monkeypatch.setattr("pipelines.components.names", lambda kind: rows)
    assert invoke(["list", "models"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["mine", "My", "own.", "my-package", "1.2"]
