import json

import pytest

from orchestrator.cli.main import invoke


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
    assert lines[0].split() == ["name", "what", "it", "does", "from"]
    assert [line.split()[0] for line in lines[1:] if not line.startswith(" ")] == sorted(
        line.split()[0] for line in lines[1:] if not line.startswith(" ")
    )
