"""The client that writes rows itself, against MLflow's own: the same calls leave the same database.

Covers: `orchestrator/tracking/sqlite_entities.py`, `orchestrator/tracking/sqlite_rows.py`
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.entities
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from orchestrator.errors import TrackingError
from orchestrator.tracking.mlflow_client import connect, entities, experiment_id, open_client
from orchestrator.tracking.sqlite_client import SqliteClient

Call = Callable[[Any, Any, str], object]
"""Given a client, where its entities are, and the id of a run."""

_RANDOM = ("creation_time", "last_update_time", "creation_timestamp_ms", "last_updated_timestamp_ms", "input_uuid")
_values = st.sampled_from([0.0, 0.5, -1.5, 1e300, math.nan, math.inf, -math.inf, 3])
_metric = st.tuples(st.sampled_from("ab"), _values, st.integers(1, 3), st.integers(-1, 2))
_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)
_batch = st.tuples(
    st.lists(_metric, max_size=6),
    st.dictionaries(st.sampled_from(["p", "q"]), st.just("1"), max_size=2),
    st.dictionaries(st.sampled_from(["t", "u", "mlflow.note.content"]), _text, max_size=3),
)


@dataclass(frozen=True)
class Side:
    """A client and its database, in a folder of its own."""

    client: Any
    folder: Path
    experiment: str

    def after(self, calls: list[Call]) -> dict[str, list[str]]:
        """The rows of a new run, by table, after these calls.

        Random ids, times of now and the folder of the database are left out.
        """
        tags = {"mlflow.user": "me", "everlearn.run": "x"}
        run = self.client.create_run(self.experiment, 1000, tags, "a name").info.run_id
        for call in calls:
            call(self.client, entities(self.client), run)
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            models = connection.execute("SELECT model_id FROM logged_models WHERE source_run_id = ?", (run,)).fetchall()
            known = {run: "<run>", str(self.folder): "<folder>"} | {
                name: f"<model {k}>" for k, (name,) in enumerate(models)
            }
            known |= {name: "<dataset>" for (name,) in connection.execute("SELECT dataset_uuid FROM datasets")}
            found = {}
            for table in tables:
                cursor = connection.execute(f'SELECT * FROM "{table}"')
                names = [column[0] for column in cursor.description]
                rows = [dict(zip(names, row, strict=True)) for row in cursor]
                lines = [repr({name: value for name, value in row.items() if name not in _RANDOM}) for row in rows]
                for old, new in known.items():
                    lines = [line.replace(old, new) for line in lines]
                found[table] = sorted(
                    line for line in lines if any(word in line for word in ("<run>", "<model", "<dataset>"))
                )
            return found


def logged(batch: tuple[list[tuple[str, float, int, int]], dict[str, str], dict[str, str]]) -> Call:
    metrics, params, tags = batch

    def call(client: Any, kinds: Any, run: str) -> None:
        client.log_batch(
            run,
            metrics=[kinds.Metric(*metric) for metric in metrics],
            params=[kinds.Param(*param) for param in params.items()],
            tags=[kinds.RunTag(*tag) for tag in tags.items()],
        )

    return call


def model(client: Any, kinds: Any, run: str) -> None:
    made = client.create_logged_model("1", "model", run, {"everlearn.commit": "c0ffee"})

    def status() -> dict[str, tuple[str, dict[str, str]]]:
        models = client.search_logged_models(["1"], f"source_run_id = '{run}'")
        return {found.model_id: (str(found.status), found.tags) for found in models}

    assert status()[made.model_id] == ("PENDING", {"everlearn.commit": "c0ffee"})
    client.log_outputs(run, [kinds.LoggedModelOutput(made.model_id, 4)])
    client.finalize_logged_model(made.model_id, "READY")
    client.log_batch(run, metrics=[kinds.Metric("a", 0.5, 1, 0, model_id=made.model_id)] * 2)
    assert status()[made.model_id][0] == "READY"


def datasets(client: Any, kinds: Any, run: str) -> None:
    data = kinds.Dataset("digits 00", "0a1b", "everlearn", "{}", "[]", None)
    client.log_inputs(run, datasets=[kinds.DatasetInput(data, [kinds.InputTag("mlflow.data.context", "training")])] * 2)
    client.set_experiment_tag("1", "view", run)
    assert client.get_experiment("1").tags["view"] == run
    assert [found.name for found in client.search_experiments() if found.experiment_id == "1"] == ["digits"]


@pytest.fixture(scope="module")
def two(new_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> list[Side]:
    """The same empty database twice, with a client of each kind."""
    folders = [tmp_path_factory.mktemp(name) for name in ("ours", "theirs")]
    uris = [new_database(folder / "mlflow.db") for folder in folders]
    clients: list[Any] = [SqliteClient(folders[0] / "mlflow.db"), connect(uris[1])]
    return [
        Side(client, folder, experiment_id(client, uri, "digits"))
        for client, folder, uri in zip(clients, folders, uris, strict=True)
    ]


@settings(max_examples=20, deadline=None)
@given(batches=st.lists(_batch, min_size=1, max_size=3))
def test_batches_leave_the_same_rows(two: list[Side], batches: list[Any]) -> None:
    found = [side.after([logged(batch) for batch in batches]) for side in two]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "calls",
    [
        [lambda client, kinds, run: client.set_terminated(run, status="FAILED", end_time=77)],
        [
            lambda client, kinds, run: client.set_terminated(run, "FINISHED", 77),
            lambda client, kinds, run: client.update_run(run, status="RUNNING"),
        ],
        [lambda client, kinds, run: client.set_tag(run, "note", "x" * 9000)],
        [model, model],
        [datasets, datasets],
    ],
    ids=["terminated", "running again", "a long tag", "two models", "a dataset twice"],
)
def test_calls_leave_the_same_rows(two: list[Side], calls: list[Call]) -> None:
    found = [side.after(calls) for side in two]
    assert found[0] == found[1]
    assert len(found[0]["runs"]) == 1


def test_both_read_what_the_other_wrote(database: Path, uri: str) -> None:
    ours, theirs = SqliteClient(database), connect(uri)
    experiment = experiment_id(theirs, uri, "digits")
    runs = [client.create_run(experiment, 1000, {"kind": "it's"}, "run").info.run_id for client in (ours, theirs)]
    for run in runs:
        logged(([("a", math.nan, 1, 0), ("a", 2.0, 1, 3)], {"p": "1"}, {}))(theirs, mlflow.entities, run)
    query = "tags.`kind` = 'other'"
    assert ours.search_runs([experiment], query) == [] == theirs.search_runs([experiment], query)
    theirs.set_tag(runs[0], "kind", "one")
    found = [client.search_runs([experiment], "tags.`kind` = 'one'", max_results=9) for client in (ours, theirs)]
    seen = [
        (run.info.run_id, run.info.status, run.info.start_time, run.info.end_time, run.data.tags, run.data.params,
         run.data.metrics)
        for (run,) in found
    ]  # fmt: skip
    assert seen[0] == seen[1]
    assert found[0].token is None
    histories = [client.get_metric_history(runs[1], "a") for client in (ours, theirs)]
    assert [sorted((m.step, m.timestamp, repr(m.value)) for m in history) for history in histories] == [
        [(0, 1, "nan"), (3, 1, "2.0")]
    ] * 2
    theirs.delete_run(runs[0])
    assert ours.search_runs([experiment], "tags.`kind` = 'one'") == []
    with pytest.raises(TrackingError, match="deleted"):
        ours.set_tag(runs[0], "kind", "two")


def test_files_lie_where_mlflow_finds_them(database: Path, uri: str, tmp_path: Path) -> None:
    client, number = open_client(uri, "a name/with spaces & ünïcode")
    assert isinstance(client, SqliteClient)
    run = client.create_run(number, 1000, {}, "run").info.run_id
    (tmp_path / "files" / "figures").mkdir(parents=True)
    (tmp_path / "files" / "figures" / "one.txt").write_text("1")
    for _ in range(2):
        client.log_artifacts(run, str(tmp_path / "files"))
    theirs = connect(uri)
    assert [file.path for file in theirs.list_artifacts(run)] == ["figures"]
    assert Path(theirs.download_artifacts(run, "figures/one.txt", str(tmp_path))).read_text() == "1"


def test_a_parameter_keeps_its_value(database: Path, uri: str) -> None:
    client, number = open_client(uri, "digits")
    kinds = entities(client)
    run = client.create_run(number, 1000, {}, "run").info.run_id
    client.log_batch(run, params=[kinds.Param("p", "1")])
    with pytest.raises(TrackingError, match=r"p of run \w+ is 1 and cannot become 2"):
        client.log_batch(run, params=[kinds.Param("q", "1"), kinds.Param("p", "2")], tags=[kinds.RunTag("t", "1")])
    data = connect(uri).get_run(run).data
    assert data.params == {"p": "1"} and "t" not in data.tags


def test_calls_together_are_written_all_or_not_at_all(database: Path, uri: str) -> None:
    client = SqliteClient(database)
    experiment = experiment_id(client, uri, "together")

    def create() -> str:
        run = client.create_run(experiment, 1000, {"group": "g"}, "a name").info.run_id
        client.set_tag(run, "later", "1")
        return str(run)

    with pytest.raises(ZeroDivisionError), client.together():
        create()
        assert len(client.search_runs([experiment], "tags.`group` = 'g'")) == 1
        assert not SqliteClient(database).search_runs([experiment], "tags.`group` = 'g'")
        raise ZeroDivisionError
    assert not client.search_runs([experiment], "tags.`group` = 'g'")
    with client.together():
        runs = [create(), create()]
    assert {run.info.run_id for run in client.search_runs([experiment], "tags.`later` = '1'")} == {*runs}


def test_a_database_that_is_gone_is_not_made_again(database: Path, uri: str) -> None:
    client, number = open_client(uri, "digits")
    database.unlink()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        client.create_run(number, 1000, {}, "run")
    assert not database.exists()


@pytest.mark.parametrize("reason", ["schema", "files", "options", "workspaces"])
def test_mlflow_itself_writes_what_is_not_known(
    reason: str, database: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "schema":
        # A later MLflow has migrated it; today's refuses it, and says so.
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '000'")
            connection.commit()
        with pytest.raises(TrackingError, match="000"):
            open_client(uri, "digits")
        return
    if reason == "files":
        connect(uri).create_experiment("digits", "s3://bucket/digits")
    elif reason == "options":
        uri = f"{uri}?timeout=30"
    else:
        monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "false")
    client, number = open_client(uri, "digits")
    assert isinstance(client, MlflowClient)
    assert client.get_experiment(number).name == "digits"
