"""What a job takes along."""

from pathlib import Path

import pytest
import yaml

from orchestrator.jobs.runtime_env import FILE, prepare
from pipelines.config.pipeline_errors import PipelineError

TEXT = "name: small\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n"
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCY"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(TEXT)
    return path


def test_overrides_are_in_the_file_and_modules_beside_it(file: Path, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    for name in ("mine.py", "deep/more.py", ".env", ".git/config", "__pycache__/x.pyc"):
        path = modules / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    shipment = prepare([file], overrides=["train.epochs=3", "model.hidden=[8]"], modules=modules)
    with shipment.folder() as folder:
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        document = yaml.safe_load((folder / FILE).read_text())
    assert found == {FILE, "mine.py", "deep/more.py"} and not folder.exists()
    assert document["train"] == {"epochs": 3} and document["model"] == {"name": "mlp", "hidden": [8]}


def test_a_variable_is_passed_by_its_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", SECRET)
    assert prepare([file], variables=["MINE"]).environment == {"MINE": SECRET}


@pytest.mark.parametrize("wrong", [f"MINE={SECRET}", SECRET + "!", "NOT_SET_HERE"])
def test_a_value_on_the_command_line_is_refused_and_not_repeated(file: Path, wrong: str) -> None:
    with pytest.raises(PipelineError) as caught:
        prepare([file], variables=[wrong])
    assert "--env" in str(caught.value) and SECRET not in str(caught.value)


def test_a_secret_in_the_file_or_an_override_does_not_leave(file: Path) -> None:
    with pytest.raises(PipelineError, match=r"looks like a secret.*--env NAME"):
        prepare([file], overrides=[f"tracking.uri=https://me:{SECRET}@host"])


@pytest.mark.parametrize(
    ("overrides", "variables", "words"),
    [
        ((), (), ["EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI"]),
        ((), ("EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI"), []),
        (("storage=s3://b/p", "tracking.uri=http://mlflow:5000"), (), []),
        (("storage=${X}", "tracking.uri=${Y}"), (), []),
        (
            ("storage=here", "tracking.uri=sqlite:///m.db"),
            (),
            ["here is only on the head", "sqlite:///m.db is only on the head"],
        ),
        (("storage=/data", "tracking.uri=postgresql://db/m"), (), ["/data is only on the head of the cluster: use"]),
    ],
)
def test_what_the_cluster_would_keep_or_lose_is_said(
    file: Path,
    overrides: tuple[str, ...],
    variables: tuple[str, ...],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in variables:
        monkeypatch.setenv(name, "s3://bucket")
    warnings = prepare([file], overrides=overrides, variables=variables).warnings
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_what_cannot_be_run_is_not_sent(file: Path, tmp_path: Path) -> None:
    for arguments in ({"kind": "tune"}, {"kind": "dance"}, {"modules": tmp_path / "none"}, {"overrides": ["seed=x"]}):
        with pytest.raises(PipelineError):
            prepare([file], **arguments)
