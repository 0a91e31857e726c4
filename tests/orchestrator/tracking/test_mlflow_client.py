"""Reaching MLflow: paths, experiments and what is said when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from orchestrator.errors import TrackingError
from orchestrator.tracking.mlflow_client import (
    artifact_location,
    connect,
    database_file,
    experiment_id,
    is_server,
    resolve_uri,
)
from tests.orchestrator.tracking.faults import Faulty


def test_an_sqlite_path_means_the_same_in_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("sqlite:///.everlearn/mlflow.db") == f"sqlite:///{tmp_path}/.everlearn/mlflow.db"
    assert resolve_uri("sqlite:////abs/m.db?timeout=5") == "sqlite:////abs/m.db?timeout=5"
    for uri in ("http://127.0.0.1:5000", "postgresql://u:p@h/db", "sqlite:///:memory:"):
        assert resolve_uri(uri) == uri


def test_files_lie_beside_the_database_and_a_server_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    location = artifact_location("sqlite:///a b/mlflow.db", "x/../y z")
    assert location is not None
    path = Path(unquote(urlparse(location).path))
    assert path.parent == tmp_path / "a b" / "artifacts", "a name cannot lead out of the folder"
    assert artifact_location("http://127.0.0.1:5000", "x") is None
    assert artifact_location("postgresql://h/db", "x") == (tmp_path / ".everlearn/artifacts/x").as_uri()
    assert is_server("https://mlflow.example.com")
    assert not is_server("sqlite:///x.db")


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a#b", "a b", "q\"'q", "100%", "a;b&c=d", "é", "a\\b"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    uri = "sqlite:///.everlearn/mlflow.db"
    assert resolve_uri(resolve_uri(uri)) == resolve_uri(uri)
    assert database_file(resolve_uri(uri)) == tmp_path / name / ".everlearn" / "mlflow.db"
    client = connect(uri)
    run = client.create_run(experiment_id(client, uri, "digits"))
    client.log_text(run.info.run_id, "text", "note.txt")
    made = sorted(path.name for path in (tmp_path / name / ".everlearn").iterdir())
    assert made == ["artifacts", "mlflow.db"]
    assert len(list((tmp_path / name / ".everlearn" / "artifacts").rglob("note.txt"))) == 1
    assert connect(resolve_uri(uri)).get_run(run.info.run_id).info.status == "RUNNING"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in Path.cwd().iterdir()] == [".everlearn"]


@pytest.mark.slow
def test_a_new_store_is_made_quietly_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = "sqlite:///deep er/.everlearn/mlflow.db"
    experiment_id(connect(uri), uri, "split-digits")
    assert (tmp_path / "deep er/.everlearn/mlflow.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["deep er"]
    assert capfd.readouterr() == ("", "")


def test_an_experiment_is_created_once_by_many(uri: str, database: Path) -> None:
    found: list[str] = []
    clients = [connect(uri) for _ in range(6)]
    threads = [
        threading.Thread(target=lambda c=c: found.append(experiment_id(c, uri, "split-digits"))) for c in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(*) from experiments where name = 'split-digits'").fetchone() == (1,)
        (kind,) = connection.execute("select value from experiment_tags where key = 'mlflow.experimentKind'").fetchone()
    assert kind == "custom_model_development"


def test_a_deleted_experiment_says_how_to_get_it_back(uri: str) -> None:
    client = connect(uri)
    client.delete_experiment(experiment_id(client, uri, "split-digits"))
    with pytest.raises(TrackingError, match=r"split-digits was deleted.*\n.*experiments restore --experiment-id \d+"):
        experiment_id(client, uri, "split-digits")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (401, "asks for a login .401.: set MLFLOW_TRACKING_USERNAME"),
        (403, "access is denied .403."),
        (404, "404"),
        (429, "fewer requests .429."),
        (500, "the server failed .500."),
        (503, "overloaded or starting .503."),
        ("refuse", "connection refused"),
        ("hang", "does not answer in time"),
        ("garbage", "JSON"),
        ("json 403", "access is denied .403."),
    ],
)
def test_says_why_a_server_cannot_be_used(
    behaviour: int | str, words: str, faulty: Callable[[int | str], Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = faulty(behaviour).uri.replace("http://", "http://ann:s3cr3t-w0rd@")
    with pytest.raises(TrackingError, match=words) as caught:
        experiment_id(connect(uri), uri, "split-digits")
    message = str(caught.value)
    assert message.startswith("MLflow at http://***@127.0.0.1:")
    assert "s3cr3t" not in message
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("folder.db", "the database file cannot be opened"),
        ("text.db", "the file is not an SQLite database"),
        ("text.db/mlflow.db", "Not a directory|File exists"),
    ],
)
def test_says_at_once_why_a_database_cannot_be_used(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "text.db").write_text("no database at all, but text that is long enough to be looked at" * 20)
    uri = f"sqlite:///{tmp_path / place}"
    # Tried for long, it would run into the time limit of tests.
    with pytest.raises(TrackingError, match=words) as caught:
        experiment_id(connect(uri), uri, "split-digits")
    assert len(str(caught.value)) < 300


def test_requests_are_bounded_unless_a_person_chose_otherwise(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    connect(uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "4"
    assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 15
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
