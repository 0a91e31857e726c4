"""A database that is made from the schema, against one that MLflow's migrations make."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.store.db import utils

from orchestrator.tracking.mlflow_client import connect, experiment_id
from orchestrator.tracking.new_database import create_database
from tests.orchestrator.tracking.dump_schema import migrate


def test_it_is_what_the_migrations_make(tmp_path: Path) -> None:
    made, migrated = tmp_path / "made.db", tmp_path / "migrated.db"
    assert create_database(made, mlflow.__version__), (
        "the schema is of another version: python -m tests.orchestrator.tracking.dump_schema"
    )
    migrate(migrated)
    assert _contents(made) == _contents(migrated)
    assert len(_contents(made)["schema"]) > 50


def test_mlflow_takes_it_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(engine: object) -> None:
        raise AssertionError("MLflow began to migrate")

    monkeypatch.setattr(utils, "_initialize_tables", refuse)
    uri = f"sqlite:///{tmp_path}/deep/mlflow.db"
    client = connect(uri)
    assert experiment_id(client, uri, "digits") == "1"
    run = client.create_run("1")
    client.log_metric(run.info.run_id, "loss", 0.5)
    assert client.get_run(run.info.run_id).data.metrics == {"loss": 0.5}
    assert client.search_registered_models() == []
    assert [path.name for path in (tmp_path / "deep").glob("mlflow.db*")] == ["mlflow.db"]


def test_with_another_version_mlflow_makes_its_own(tmp_path: Path) -> None:
    assert not create_database(tmp_path / "mlflow.db", "0.0.1")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"mine")
    assert not create_database(path, mlflow.__version__)
    assert path.read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 1


def test_where_it_cannot_be_made_nothing_is_left(tmp_path: Path) -> None:
    assert not create_database(tmp_path / "absent" / "mlflow.db", mlflow.__version__)
    assert list(tmp_path.iterdir()) == []


def test_of_several_at_once_one_makes_it(tmp_path: Path) -> None:
    path, made = tmp_path / "mlflow.db", []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        made.append(create_database(path, mlflow.__version__))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert list(tmp_path.iterdir()) == [path]


def _contents(path: Path) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = list(connection.execute("select type, name, tbl_name, coalesce(sql, '') from sqlite_master"))
        # The migrations write the constraints of a table in another order from one process to the next.
        schema = sorted((*names, sorted(line.strip(" ,") for line in sql.splitlines())) for *names, sql in found)
        tables = [name for kind, name, *_ in found if kind == "table"]
        pragmas = ("user_version", "application_id", "encoding", "page_size", "journal_mode", "auto_vacuum")
        return {
            "schema": schema,
            "rows": {table: sorted(connection.execute(f'select * from "{table}"')) for table in tables},
            "settings": [connection.execute(f"pragma {name}").fetchone() for name in pragmas],
        }
