"""`everlearn step` with the real run, MLflow included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.cli.step import lines
from orchestrator.lineage import past_outline
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from orchestrator.updates.run_step import StepResult
from pipelines.config.load import load_pipeline
from tests.orchestrator.updates.arrivals import FILE, aged, deliver


@pytest.fixture
def file(tmp_path: Path, new_database: Callable[[Path], str]) -> Path:
    uri = new_database(tmp_path / "mlflow.db")
    written = tmp_path / "arriving.yaml"
    text = FILE.format(folder=tmp_path, more=", max_quarantined: 1")
    written.write_text(text.replace(f"{tmp_path}/mlflow", uri))
    (tmp_path / "in").mkdir()
    return written


def test_a_stream_that_continues(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["step", str(file)]) == 0
    assert capsys.readouterr().out == "arriving: nothing new\n"
    deliver(tmp_path, "a", [0, 1])
    assert invoke(["step", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "\n  admitted a.npz\narriving: 1 experience trained, 1 in all\n" in shown
    for name in ("b", "c"):
        (tmp_path / f"in/{name}.npz").write_bytes(f"torn {name}".encode())
        aged(tmp_path / f"in/{name}.npz", 500)
    assert invoke(["step", str(file), "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert document["outcome"] == "stopped" and document["trained"] == 0
    assert [one["key"] for one in document["quarantined"]] == ["b.npz", "c.npz"]
    assert invoke(["step", str(file)]) == 4
    assert "2 files in quarantine: more than max_quarantined, so that nothing is trained" in capsys.readouterr().out
    assert invoke(["run", str(file), "--json"]) == 0  # what was admitted is trained: nothing is left
    assert json.loads(capsys.readouterr().out)["reused"] == 1
    assert invoke(["validate", str(file)]) == 0
    assert "`everlearn sources` shows what was admitted" in capsys.readouterr().out


def test_with_an_outline_of_the_past_a_run_shows_what_it_shows_without(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_outline, "EVERY", 1)
    for number, name in enumerate("ab"):
        deliver(tmp_path, name, [0, 1], seed=number)
    assert invoke(["step", str(file)]) == 0
    deliver(tmp_path, "c", [2, 3], seed=2)
    assert invoke(["step", str(file)]) == 0
    pipeline = load_pipeline(file)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    chain = lineage.chain(lineage.refs()["latest"].commit)
    past = past_outline.read_past(lineage, [commit.id for commit in chain])
    assert past.outline == chain[1].id and past.chain[0] != chain[0]
    shown = [run(pipeline, outlined=outlined).to_json() for outlined in (False, True)]
    for document in shown:
        del document["seconds"]
    assert shown[0] == shown[1] and len(shown[0]["lineage"]) == 3


def test_a_stream_in_which_nothing_arrives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text("name: x\nstream: {dataset: digits, experiences: 5}\nmodel: mlp\n")
    assert invoke(["step", str(tmp_path / "p.yaml")]) == 2
    assert "nothing arrives here" in capsys.readouterr().err


def test_what_is_said_of_a_step() -> None:
    assert lines(StepResult("x", "busy"), "s") == [
        "x: another process is working on this pipeline, and admits and trains what is new"
    ]
    assert lines(StepResult("x", "admitted", waiting=2), "s") == [
        "x: nothing to train, 2 files waiting for a complete experience"
    ]
