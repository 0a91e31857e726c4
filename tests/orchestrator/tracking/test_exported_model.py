"""The files of an exported model, against those that MLflow writes for the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import torch
import yaml

from orchestrator.tracking.exported_model import export_model, write_description
from tests.orchestrator.tracking.models import small_model

# Of one moment, or of the environment, which MLflow lists with versions of pip.
OF_ITS_OWN = {"utc_time_created", "model_uuid", "model_id", "run_id", "artifact_path", "model_size_bytes"}


def test_they_are_those_of_mlflow(tmp_path: Path) -> None:
    model, example = small_model()
    model.eval()
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    content = export_model(ours, model, example)
    write_description(ours, content, model_id="m-1", run_id="r-1", artifact_path="file:///somewhere")
    mlflow.pytorch.save_model(
        model,
        str(theirs),
        input_example=example.numpy(),
        serialization_format="pt2",
        pip_requirements=(ours / "requirements.txt").read_text().splitlines(),
    )
    assert names(ours) == names(theirs)
    assert {k: v for k, v in described(ours).items() if k not in OF_ITS_OWN} == {
        k: v for k, v in described(theirs).items() if k not in OF_ITS_OWN
    }
    for name in ("requirements.txt", "input_example.json", "serving_input_example.json"):
        assert (ours / name).read_text() == (theirs / name).read_text()
    loaded = mlflow.pytorch.load_model(str(ours))
    assert loaded(example).equal(mlflow.pytorch.load_model(str(theirs))(example))
    assert loaded(torch.cat([example, example])).shape == (10, 4)


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def described(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "MLmodel").read_text())
    return content
