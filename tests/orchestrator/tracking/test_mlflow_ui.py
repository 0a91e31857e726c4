"""The command that serves the MLflow UI."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.tracking.mlflow_ui import page, ui_command, ui_environment, ui_folder
from orchestrator.tracking.publish_lineage import publish
from tests.orchestrator.tracking.chains import make_chain, make_pipeline
from tests.orchestrator.tracking.conftest import Server


def test_a_password_is_in_no_command_line() -> None:
    uri = "postgresql://ann:s3cr3t@db.example.com/mlflow"
    assert "s3cr3t" not in " ".join(ui_command())
    assert ui_environment(uri)["MLFLOW_BACKEND_STORE_URI"] == uri


def test_listens_on_this_machine_alone_with_one_worker() -> None:
    command = " ".join(ui_command(port=5123))
    assert "--host 127.0.0.1 --port 5123 --workers 1" in command
    environment = ui_environment("sqlite:///x.db")
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_BACKEND_STORE_URI"].startswith("sqlite:////")


def test_a_folder_whose_name_needs_quoting_is_the_servers_own(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/what%3F a%2541b/m%25.db?timeout=5"
    assert ui_folder(uri) == tmp_path / "what? a%41b"
    assert ui_environment(uri)["MLFLOW_BACKEND_STORE_URI"] == "sqlite:///m%25.db?timeout=5"
    assert ui_folder("sqlite:////plain/m%25.db") is None is ui_folder("http://server")


def test_pages() -> None:
    assert page("http://h:5000/") == "http://h:5000/#/experiments?workflowType=machine_learning"
    assert page("http://h:5000", "3").startswith("http://h:5000/#/experiments/3/runs?")
    assert page("http://h:5000", "3", "ab").startswith("http://h:5000/#/experiments/3/runs/ab?")


@pytest.mark.slow
def test_shows_what_was_written_to_the_database_and_its_files(make_server: Callable[[], Server]) -> None:
    server = make_server()
    run = publish(make_pipeline(f"sqlite:///{server.database}"), make_chain(2), stream_length=2)
    with urllib.request.urlopen(f"{server.uri}/api/2.0/mlflow/runs/get?run_id={run}") as answer:
        assert json.load(answer)["run"]["info"]["status"] == "FINISHED"
    address = f"{server.uri}/get-artifact?path=figures%2Faccuracy_matrix.png&run_uuid={run}"
    with urllib.request.urlopen(address) as answer:
        assert answer.read().startswith(b"\x89PNG")
