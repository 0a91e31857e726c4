import json
from pathlib import Path

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


def test_a_strategy_s_limits_are_those_that_a_pipeline_is_warned_about(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "strategies", "icarl", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert row["limits"].keys() == {"domain-incremental", "online"} and row["objectives"] == ["classification"]
    assert invoke(["list", "strategies", "ewc"]) == 0
    words = " ".join(capfd.readouterr().out.split())
    assert "class-incremental alone forgets on one head that all classes share: add {name: replay}" in words
    assert invoke(["list", "strategies", "packnet", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert row["needs"] == ["task labels"] and "set infer_task: true" in row["limits"]["class-incremental"]


def test_where_they_come_from_is_shown_when_not_all_are_built_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Component("mine", "My own.", "my-package 1.2"), Component("mlp", "Layers.", "built-in")]
    monkeypatch.setattr("pipelines.config.components.names", lambda kind: rows)
    assert invoke(["list", "models"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["mine", "My", "own.", "my-package", "1.2"]


def test_one_component_shows_its_options_with_type_default_and_meaning(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "datasets", "npz"]) == 0
    words = " ".join(capfd.readouterr().out.split())
    assert "in a file stream.dataset" in words
    assert "path text; required A .npz file" in words and "test_fraction number > 0 and < 1; default 0.2" in words
    assert invoke(["list", "models", "mlp", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    hidden = row["options"][0]
    assert (hidden["name"], hidden["default"], hidden["required"]) == ("hidden", [400, 400], False)
    assert row["other_options"] is False
    assert invoke(["list", "datasets", "digits"]) == 0
    assert "It has no options." in capfd.readouterr().out


def test_one_component_by_import_path(capfd: pytest.CaptureFixture[str]) -> None:
    own = "tests.pipelines.own_components"
    assert invoke(["list", "datasets", f"{own}:documented_dataset"]) == 0
    words = " ".join(capfd.readouterr().out.split())
    assert "from import path" in words and "rows whole number; default 10 How many rows are read" in words
    assert invoke(["list", "datasets", f"{own}:any_dataset"]) == 0
    assert "Any further key is passed on to it." in capfd.readouterr().out
    assert invoke(["list", "strategies", f"{own}:nothing"]) == 2
    assert "has no 'nothing'" in capfd.readouterr().err


def test_one_component_of_an_installed_plug_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution = tmp_path / "my_package-1.2.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.2\n")
    (distribution / "entry_points.txt").write_text("[everlearn.models]\ntiny = my_package_models:Tiny\n")
    code = 'class Tiny:\n    """A tiny model.\n\n    Args:\n        width: units of its layer.\n    """\n\n'
    code += "    def __init__(self, input_shape, outputs, width: int = 8): ...\n"
    (tmp_path / "my_package_models.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert invoke(["list", "models", "tiny"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "from my-package 1.2" in words and "width whole number; default 8 Units of its layer." in words


def test_the_objective_is_listed_with_what_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "objectives"]) == 0
    assert "one of several classes: cross entropy" in " ".join(capfd.readouterr().out.split()).lower()
    assert invoke(["list", "objectives", "classification", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["name"] == "classification"
    assert invoke(["list", "objectives", "ranking"]) == 2
    known = "classification, multi-label, next-token, regression"
    assert f"unknown objective 'ranking'. Known: {known}" in capfd.readouterr().err


def test_scores_and_one_of_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "scores"]) == 0
    text = capfd.readouterr().out
    assert {"accuracy", "auroc", "mae", "subset_accuracy"} <= {line.split()[0] for line in text.splitlines() if line}
    assert invoke(["list", "scores", "recall", "--json"]) == 0
    (recall,) = json.loads(capfd.readouterr().out)
    assert "recall@precision=NUMBER" in recall["parameters"] and recall["better"] == "higher"
    assert invoke(["list", "scores", "recal"]) == 2
    assert "unknown score 'recal'" in capfd.readouterr().err
