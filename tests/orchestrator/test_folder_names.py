"""The working folder may have any name: paths in the URIs of MLflow, of Ray and of stores are quoted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke

PIPELINE = (
    "name: odd\nstream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}\n"
    "model: {name: mlp, hidden: [16]}\nstrategy: [{name: replay, capacity: 8}]\n"
    "train: {epochs: 8, batch_size: 16, optimizer: {name: adam, lr: 0.01}}\n"
)
NAMES = ["what?", "a%41b", "#1", "my folder", 'it\'s "x"', "a;b&c=d", "é", "[x]{y}:z"]


@pytest.mark.parametrize("name", ["what? #1", "a%41b", 'it\'s "x" [y];&z'])
def test_run_log_fsck_and_the_runs_in_mlflow(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "odd.yaml").write_text(PIPELINE)
    monkeypatch.chdir(folder)
    for variable in ("EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)

    def command(*arguments: str) -> str:
        status = invoke(arguments)
        out, err = capsys.readouterr()
        assert status == 0 and "warning" not in err, out + err
        return out

    done = json.loads(command("run", "odd.yaml", "--json"))
    assert done["trained"] == 2
    assert done["lineage"][-1] in command("log", "odd.yaml", "--json")
    command("fsck", "odd.yaml")

    from orchestrator.tracking.mlflow_client import connect

    # MLflow's own client would make an empty folder of the quoted name.
    run = connect(done["tracking"]["uri"]).get_run(done["tracking"]["run_id"])
    assert run.data.metrics["average_accuracy"] == pytest.approx(done["average_accuracy"])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sorted(path.name for path in folder.iterdir()) == [".everlearn", "odd.yaml"]
    assert sorted(path.name for path in (folder / ".everlearn").iterdir()) == ["artifacts", "mlflow.db", "store"]


@pytest.mark.parametrize("name", NAMES)
def test_what_ray_writes_stays_in_the_folder(name: str, tmp_path: Path) -> None:
    from ray.train.v2._internal.execution.storage import get_fs_and_path

    from orchestrator.storage.ray_filesystem import ray_filesystem

    store = tmp_path / name / "store"
    filesystem, path = ray_filesystem(str(store))
    used, where = get_fs_and_path(path, filesystem)
    used.create_dir(f"{where}/runs", recursive=True)
    assert (store / "runs").is_dir()
