import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.lineages import write_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path)
    return tmp_path


def test_what_it_would_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set", "stream.experiences=5", "--set", "train.epochs=2", "--set", "train.batch_size=100"]
    assert invoke(["validate", "small.yaml", *arguments]) == 0
    text = capsys.readouterr().out
    assert text.startswith("small.yaml is valid\n")
    rows = [line.split() for line in text.splitlines()]
    assert ["0", "0", "1", "288", "72", "6"] in rows
    assert "replay (capacity 10" in text and "2 epochs of each, batch 100" in text
    assert not (folder / ".everlearn").exists()


def test_an_online_blurry_stream(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set", "stream.online=true", "--set", "stream.blurry=0.25", "--set", "train.batch_size=10"]
    assert invoke(["validate", "small.yaml", *arguments]) == 0
    assert "digits, class-incremental, 3 experiences, blurry 0.25, online" in capsys.readouterr().out
    assert invoke(["validate", "small.yaml", *arguments, "--set", "train.epochs=2"]) == 2
    assert "--set train.epochs=2: must be 1" in capsys.readouterr().err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["validate", "small.yaml", "--json", "--set", "train.steps=7"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pipeline"]["name"] == "small"
    assert [one["index"] for one in document["experiences"]] == [0, 1, 2]
    assert {one["steps"] for one in document["experiences"]} == {7}
    assert document["outputs"] == 10 and document["parameters"] > 0 and document["warnings"] == []


def test_a_strategy_that_the_setting_makes_useless_is_a_warning_with_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["validate", "small.yaml", "--set", "strategy=[{name: ewc, lambda: 10}]"]) == 0
    out = capsys.readouterr().out
    assert "warning:" in out and "replay" in out.partition("warning:")[2]


def test_data_of_nearly_one_class_is_a_warning_unless_classes_are_weighed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.array([0] * 97 + [1] * 3)
    arrays = {f"{name}_{part}": a for part in ("train", "test") for name, a in (("x", np.eye(100)), ("y", labels))}
    (folder / "months").mkdir()
    for month in ("january", "february"):
        np.savez(folder / "months" / f"{month}.npz", **arrays)
    (folder / "fraud.yaml").write_text(
        "name: fraud\nmodel: mlp\nstream: {dataset: {name: npz, path: months}, setting: domain-incremental}\n"
    )
    assert invoke(["validate", "fraud.yaml", "--json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "class 0 has 97.0% of the training samples" in warning and "class_weights: balanced" in warning
    weighed = "objective={name: classification, class_weights: balanced}"
    assert invoke(["validate", "fraud.yaml", "--json", "--set", weighed]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["warnings"] == []
    assert document["pipeline"]["objective"] == {"name": "classification", "class_weights": "balanced"}


def test_every_problem_is_shown_with_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wrong.yaml").write_text(
        "name: Wrong Name\nstream: {dataset: digits}\nmodel: mlp\ntrain:\n  epochs: -1\n"
    )
    assert invoke(["validate", "wrong.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "wrong.yaml:1: name" in err and "wrong.yaml:5: train.epochs" in err


def test_more_experiences_than_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["validate", "small.yaml", "--set", "stream.experiences=11"]) == 2
    err = capsys.readouterr().err
    assert "11" in err and "10" in err and len(err.splitlines()) <= 3


def test_a_gate_for_a_column_that_is_not_there_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "d.csv").write_text("age,country,label\n" + "".join(f"{n},{n % 3},{n % 2}\n" for n in range(40)))
    gated = "gate.slices={by: [class, cuontry]}"
    assert invoke(["validate", "small.yaml", "--set", gated]) == 2
    assert "no column 'cuontry'. Its inputs have no names: use class, or" in capsys.readouterr().err
    tables = ["--set", "stream={dataset: {name: csv, path: d.csv, features: auto}, experiences: 2}"]
    tables += ["--set", "model=tabular-mlp"]
    assert invoke(["validate", "small.yaml", *tables, "--set", gated]) == 2
    assert "'cuontry', did you mean 'country'? The columns are age, country" in capsys.readouterr().err
    assert invoke(["validate", "small.yaml", *tables, "--set", gated.replace("uo", "ou")]) == 0
