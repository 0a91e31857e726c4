import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from orchestrator.cli.main import invoke
from pipelines.config.load import load_pipeline
from tests.orchestrator.cli.commands import everlearn

PIPELINE = """
name: small
stream: {dataset: digits, experiences: 3}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 50, ratio: 0.5}]
train: {epochs: 1, batch_size: 32}
tune: {trials: 2, space: {"strategy.replay.ratio": {uniform: [0.1, 0.5]}}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(PIPELINE)
    return tmp_path / "small.yaml"


@pytest.mark.slow
def test_a_search_its_document_its_tuned_file_and_its_run_in_mlflow(
    file: Path, new_database: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = file.parent
    new_database(folder / ".everlearn" / "mlflow.db")
    done = everlearn("tune", "small.yaml", "--json", "--write", "tuned.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) >= {"best", "trials", "seconds", "tracking", "trained", "reused"}
    assert set(result["best"]) >= {"settings", "metrics", "lineage"}
    assert (result["trained"], result["reused"]) == (1 + 2 * 2, 1)
    assert [trial["state"] for trial in result["trials"]] == ["done", "done"]

    tuned = load_pipeline(folder / "tuned.yaml")
    ratio = result["best"]["settings"]["strategy.replay.ratio"]
    assert tuned.strategy[0].extras["ratio"] == ratio
    # The best model is the one that a run of the tuned file would train.
    assert invoke(["run", "tuned.yaml", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["trained"], again["lineage"]) == (0, result["best"]["lineage"])
    assert again["average_accuracy"] == result["best"]["metrics"]["average_accuracy"]
    _check_mlflow(folder, result)

    assert invoke(["tune", "small.yaml", "--trials", "3"]) == 0
    more = capsys.readouterr().out
    assert "2 trials done before" in more and "best: trial" in more
    snippet = yaml.safe_load(more.split("to paste into the file:")[1])
    assert snippet["strategy"][0]["name"] == "replay"


def _check_mlflow(folder: Path, result: dict[str, object]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/.everlearn/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    tracking, best, trials = result["tracking"], result["best"], result["trials"]
    assert isinstance(tracking, dict) and isinstance(best, dict) and isinstance(trials, list)
    parent = client.get_run(tracking["run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.params["tune.space.strategy.replay.ratio.uniform"] == "[0.1, 0.5]"
    assert parent.data.metrics["best/average_accuracy"] == pytest.approx(best["metrics"]["average_accuracy"])
    children = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    numbers = {int(child.data.tags["everlearn.trial"]): child for child in children}
    assert sorted(numbers) == [0, 1]
    for trial in trials:
        child = numbers[trial["number"]]
        accuracy = trial["metrics"]["average_accuracy"]
        assert child.data.metrics["final/average_accuracy"] == pytest.approx(accuracy)
        assert len(client.get_metric_history(child.info.run_id, "average_accuracy")) == 3
        assert float(child.data.params["strategy.replay.ratio"]) == trial["settings"]["strategy.replay.ratio"]
        assert child.data.tags["everlearn.best"] == str(trial["number"] == best["number"]).lower()
    figures = [artifact.path for artifact in client.list_artifacts(parent.info.run_id, "figures")]
    assert figures == ["figures/objective_strategy.replay.ratio.png"]


def test_a_file_without_a_tune_section(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("\n".join(line for line in PIPELINE.splitlines() if not line.startswith("tune")))
    assert invoke(["tune", "small.yaml"]) == 2
    assert "no `tune` section" in capsys.readouterr().err


def test_the_space_is_checked_before_anything_starts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", "small.yaml", "--set", "tune.space.strategy.replay.ratoi={uniform: [0, 1]}"]) == 2
    error = capsys.readouterr().err
    assert "ratoi" in error and "ratio" in error
    assert not (file.parent / ".everlearn").exists()


def test_a_folder_to_write_to_that_is_not_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", "small.yaml", "--write", "nowhere/tuned.yaml"]) == 2
    assert "no folder nowhere" in capsys.readouterr().err
