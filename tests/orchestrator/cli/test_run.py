import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from strategies.metrics import metric_names
from tests.orchestrator.cli.commands import everlearn
from tests.orchestrator.cli.lineages import write_pipeline

NOWHERE = ("--set", "tracking.uri=http://127.0.0.1:9")


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


def test_what_only_the_data_shows_has_its_line_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "small.yaml").write_text("name: x\nstream:\n  dataset: digits\n  experiences: 20\nmodel: mlp\n")
    assert invoke(["run", "small.yaml"]) == 2
    assert capsys.readouterr().err.startswith("small.yaml:4: stream.experiences: 20 experiences, but")
    assert invoke(["run", "small.yaml", "--set", "stream.experiences=11"]) == 2
    assert capsys.readouterr().err.startswith("--set stream.experiences=11: 11 experiences, but")


def test_storage_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").touch()
    assert invoke(["run", "small.yaml", "--set", "storage=file/store"]) == 3
    out, err = capsys.readouterr()
    assert out == "" and "file" in err and len(err.splitlines()) <= 3


@pytest.mark.slow
def test_a_pipeline_from_its_first_run_to_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    shown = everlearn("run", "small.yaml", timeout=600)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    done = [line.split()[:2] for line in lines if line.startswith("  experience ")]
    assert done == [["experience", str(index)] for index in range(3)]
    assert "accuracy in percent" in shown.stdout and "average accuracy" in shown.stdout
    assert lines[-1].endswith("everlearn ui small.yaml")

    assert invoke(["run", "small.yaml", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert "experience 2" in err
    assert (document["pipeline"], document["trained"], document["reused"]) == ("small", 0, 3)
    assert set(document) >= set(metric_names()) and len(document["lineage"]) == 3 and document["tracking"]["run_id"]
    assert [len(row) for row in document["accuracy_matrix"]] == [3, 3, 3]

    assert invoke(["log", "small.yaml", "--json"]) == 0
    log = json.loads(capsys.readouterr().out)
    assert [entry["id"] for entry in log["commits"]] == document["lineage"][::-1]
    assert log["commits"][0]["metrics"]["forgetting"] == pytest.approx(document["forgetting"])

    assert invoke(["publish", "small.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tracking"]["run_id"] == document["tracking"]["run_id"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [pytest.param(("--address", "local"), marks=[pytest.mark.ray, pytest.mark.timeout(900)]), ()],
    ids=["ray", "here"],
)
def test_an_interrupted_run_ends_at_once_and_keeps_its_commits(
    place: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "small.yaml", "--set", "train={steps: 2000, batch_size: 16}", *NOWHERE, *place]
    command = [sys.executable, "-m", "orchestrator.cli.main", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        while not (line := process.stdout.readline()).startswith("  experience 0"):
            assert line, process.stderr.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        said = process.stderr.read().strip()
        assert said == "Interrupted. Run the same command to resume after the last finished experience."
    finally:
        process.kill()
        process.wait()
    assert invoke(["log", "small.yaml", "--json"]) == 0
    log = json.loads(capsys.readouterr().out)
    assert 1 <= len(log["commits"]) < 3
    # The claim has expired: a further run takes it over at once.
    claim = json.loads((folder / ".everlearn/store/small/claims/run.json").read_text())
    assert claim["lease"] < 0.01 and claim["machine"] is None


def test_publishing_what_was_never_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["publish", "small.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "nothing to publish" in err and "everlearn run small.yaml" in err
