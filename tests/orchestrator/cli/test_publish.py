"""`everlearn publish`: what is missing in MLflow is written there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from pipelines.config.load import load_pipeline
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.tracking.stores import points, rows
from tests.orchestrator.train_stream import train

PIPELINE = """
name: small
stream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}
model: {name: mlp, hidden: [8]}
strategy: naive
train: {epochs: 1, batch_size: 64}
"""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_database: Callable[[Path], str]) -> Path:
    """The tracking database of p.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "p.yaml").write_text(PIPELINE)
    file = tmp_path / ".everlearn" / "mlflow.db"
    new_database(file)
    return file


@pytest.mark.slow
def test_what_was_trained_is_written_once(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["publish", "p.yaml"]) == 2
    err = capsys.readouterr().err
    assert "nothing to publish" in err and "everlearn run p.yaml" in err
    train(load_pipeline("p.yaml"))
    document = documented(capsys, 0, "publish", "p.yaml")
    assert (document["pipeline"], document["published"], document["experiences"]) == ("small", 2, 2)
    assert ("average_accuracy", 1) in {(key, step) for _, key, step, _, _ in points(database)}
    before = rows(database)
    assert invoke(["publish", "p.yaml"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"published: all 2 experiences, run {document['tracking']['run_id']}"
    assert second.endswith("everlearn ui p.yaml")
    assert rows(database) == before


OWN = """
import torch

def load():
    x, y = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 4
    return (x, y), (x, y)
"""


@pytest.mark.slow
def test_a_lineage_of_ones_own_code_is_published_without_that_code(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = Path("own_rows_to_publish.py")
    module.write_text(OWN)
    Path("p.yaml").write_text(PIPELINE.replace("digits", '{name: "own_rows_to_publish:load"}'))
    train(load_pipeline("p.yaml"))
    module.unlink()
    document = documented(capsys, 0, "publish", "p.yaml")
    assert (document["published"], document["experiences"]) == (2, 2)
    assert ("average_accuracy", 1) in {(key, step) for _, key, step, _, _ in points(database)}
    assert documented(capsys, 0, "publish", "p.yaml") == document
