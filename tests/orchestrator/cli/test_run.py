import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import everlearn
from tests.orchestrator.cli.lineages import write_pipeline

METRICS = {
    "average_accuracy",
    "backward_transfer",
    "forward_transfer",
    "forgetting",
    "learning_accuracy",
    "average_incremental_accuracy",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    write_pipeline(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "missing.yaml"],
        ["run", "small.yaml", "--set", "train.epochs=none"],
        ["run", "small.yaml", "--set", "strategy.ewc.lambda=1"],
        ["run", "small.yaml", "--set", "stream.dataset=nonsense"],
        ["run", "small.yaml", "--set", "stream.experiences=11"],
        ["run", "small.yaml", "--set", "train.batch_size=2", "--workers", "3"],
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and 1 <= len(err.splitlines()) <= 3 and "Traceback" not in err
    assert not list(folder.rglob("*.db"))


def test_storage_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").touch()
    assert invoke(["run", "small.yaml", "--set", "storage=file/store"]) == 3
    out, err = capsys.readouterr()
    assert out == "" and "file" in err and len(err.splitlines()) <= 3


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_pipeline_from_its_first_run_to_its_log(folder: Path) -> None:
    shown = everlearn("run", "small.yaml", timeout=600)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert [line.split()[:2] for line in lines[2:5]] == [["experience", str(index)] for index in range(3)]
    assert "accuracy in percent" in shown.stdout and "average accuracy" in shown.stdout
    assert lines[-1].endswith("everlearn ui small.yaml")

    again = everlearn("run", "small.yaml", "--json", timeout=600)
    document = json.loads(again.stdout)
    assert again.returncode == 0 and "experience 2" in again.stderr
    assert (document["pipeline"], document["trained"], document["reused"]) == ("small", 0, 3)
    assert set(document) >= METRICS and len(document["lineage"]) == 3 and document["tracking"]["run_id"]
    assert [len(row) for row in document["accuracy_matrix"]] == [3, 3, 3]

    log = json.loads(everlearn("log", "small.yaml", "--json").stdout)
    assert [entry["id"] for entry in log["commits"]] == document["lineage"][::-1]
    assert log["commits"][0]["metrics"]["forgetting"] == pytest.approx(document["forgetting"])

    published = everlearn("publish", "small.yaml", "--json", timeout=600)
    assert json.loads(published.stdout)["tracking"]["run_id"] == document["tracking"]["run_id"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_an_interrupted_run_goes_on() -> None:
    arguments = ["run", "small.yaml", "--set", "train={steps: 2000, batch_size: 16}"]
    command = [sys.executable, "-m", "orchestrator.cli.main", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        while not (line := process.stdout.readline()).startswith("  experience 0"):
            assert line, process.stderr.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        said = process.stderr.read().strip()
        assert said == "Interrupted. The same command goes on after the last finished experience."
    finally:
        process.kill()
        process.wait()
    document = json.loads(everlearn(*arguments, "--json", timeout=600).stdout)
    assert document["reused"] >= 1 and document["trained"] + document["reused"] == 3


def test_publishing_what_was_never_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["publish", "small.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "nothing to publish" in err and "everlearn run small.yaml" in err
