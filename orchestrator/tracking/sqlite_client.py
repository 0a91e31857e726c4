"""A client of MLflow's database in SQLite that reads and writes the rows itself, without loading MLflow.

MLflow takes two seconds to load with its database, as long as a short run trains. The rows are those that the MLflow
whose schema is kept beside this file would write; the tests compare them. It has of `mlflow.MlflowClient` what a run
needs. With another version of MLflow, a server or another database, `MlflowClient` does the same.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orchestrator.errors import TrackingError
from orchestrator.tracking.sqlite_entities import (
    DatasetInput,
    Experiment,
    Found,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunTag,
)
from orchestrator.tracking.sqlite_rows import (
    STATES,
    active_experiment,
    add_datasets,
    read_model,
    read_run,
    set_params,
    set_tags,
    sql_number,
)

# Seconds to wait for another process that writes: as long as MLflow waits.
_PATIENCE = 20.0
_RUN_NAME = "mlflow.runName"
_BY_TAG = re.compile(r"tags\.`([^`]+)` = '([^']*)'")
_BY_RUN = re.compile(r"source_run_id = '([^']*)'")
_LATEST = """INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (key, run_uuid) DO UPDATE SET
        value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
    WHERE (excluded.step, excluded.timestamp, excluded.value)
        > (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)"""


class SqliteClient:
    """Has the methods of `mlflow.MlflowClient` that `RunView` and `SearchView` use, with the same arguments.

    Raises:
        sqlite3.Error: the file is absent or cannot be used; nothing of the call was written.
        TrackingError: what MLflow refuses, such as another value of a parameter that is set.
    """

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: of the database, which must be there and have the schema of the installed MLflow.
        """
        self._path = path
        self._open: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """One transaction for the calls in the block: all of them or nothing. Other processes wait meanwhile."""
        if self._open is not None:
            yield
            return
        with self._database() as database:
            self._open = database
            try:
                yield
            finally:
                self._open = None

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        return self._experiment("name = ?", name)

    def create_experiment(self, name: str, artifact_location: str | None, tags: Mapping[str, str]) -> str:
        """Its id, a number as text. Raises sqlite3.IntegrityError where there is one of the name."""
        with self._database() as database:
            created = database.execute(
                "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time, "
                "workspace) VALUES (?, ?, 'active', ?, ?, 'default')",
                (name, artifact_location, now := _now(), now),
            )
            number = created.lastrowid
            database.executemany(
                "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)",
                [(key, value, number) for key, value in tags.items()],
            )
        return str(number)

    def search_experiments(self) -> list[Experiment]:
        """Those that are not deleted, without their tags."""
        return self._experiments("lifecycle_stage = ?", "active")

    def get_experiment(self, experiment: str) -> Experiment:
        """An experiment that is there, with its tags."""
        (found,) = self._experiments("experiment_id = ?", int(experiment))
        with self._database("BEGIN") as database:
            query = "SELECT key, value FROM experiment_tags WHERE experiment_id = ?"
            return replace(found, tags=dict(database.execute(query, (int(experiment),)).fetchall()))

    def set_experiment_tag(self, experiment: str, key: str, value: str) -> None:
        with self._database() as database:
            database.execute(
                "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?) "
                "ON CONFLICT (key, experiment_id) DO UPDATE SET value = excluded.value",
                (key, value, int(experiment)),
            )

    def keeps_files_here(self, experiment: str) -> bool:
        """Whether the files of the experiment's runs lie in a folder of this machine."""
        return local_folder(self._place(experiment)) is not None

    def create_run(self, experiment: str, start_time: int, tags: Mapping[str, str], name: str) -> Run:
        place = self._place(experiment)
        run_id = uuid.uuid4().hex
        uri = f"{place}/{run_id}/artifacts"
        tags = {**tags, _RUN_NAME: name}
        with self._database() as database:
            database.execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, "
                "start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id, deleted_time) "
                "VALUES (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, NULL, '', 'active', ?, ?, NULL)",
                (run_id, name, tags.get("mlflow.user", "unknown"), start_time, uri, int(experiment)),
            )
            set_tags(database, run_id, tags)
        return Run(RunInfo(run_id, "RUNNING", start_time, None, uri, experiment), RunData(dict(tags)))

    def search_runs(
        self, experiments: Sequence[str], query: str, max_results: int = 1000, page_token: str | None = None
    ) -> Found:
        """The runs that are not deleted, with one tag: "tags.`key` = 'value'"; all of them at once."""
        key, value = _matched(_BY_TAG, query)
        marks = ", ".join("?" * len(experiments))
        with self._database("BEGIN") as database:
            found = database.execute(
                "SELECT runs.run_uuid FROM runs JOIN tags USING (run_uuid) WHERE tags.key = ? AND tags.value = ? "
                f"AND lifecycle_stage = 'active' AND experiment_id IN ({marks})",
                (key, value, *map(int, experiments)),
            ).fetchall()
            return Found(read_run(database, run) for (run,) in found)

    def get_metric_history(self, run: str, key: str) -> list[Metric]:
        with self._database("BEGIN") as database:
            found = database.execute(
                "SELECT value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? AND key = ?", (run, key)
            )
            return [Metric(key, math.nan if nan else value, stamp, step) for value, stamp, step, nan in found]

    def log_batch(
        self, run: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()
    ) -> None:
        """All of it or nothing; a point that is there already stays."""
        with self._database() as database:
            experiment = active_experiment(database, run)
            set_params(database, run, params)
            rows = [(*sql_number(metric.value), metric) for metric in metrics]
            database.executemany(
                "INSERT OR IGNORE INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [(m.key, value, m.timestamp, run, m.step, nan) for value, nan, m in rows],
            )
            database.executemany(_LATEST, [(m.key, value, m.timestamp, m.step, nan, run) for value, nan, m in rows])
            database.executemany(
                "INSERT OR IGNORE INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, "
                "metric_value, experiment_id, run_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (m.model_id, m.key, m.timestamp, m.step, value, experiment, run)
                    for value, _, m in rows
                    if m.model_id
                ],
            )
            set_tags(database, run, {tag.key: tag.value for tag in tags})

    def set_tag(self, run: str, key: str, value: str) -> None:
        self.log_batch(run, tags=[RunTag(key, value)])

    def update_run(self, run: str, status: str) -> None:
        """Set the status, and leave the time of the end."""
        with self._database() as database:
            active_experiment(database, run)
            database.execute("UPDATE runs SET status = ? WHERE run_uuid = ?", (status, run))

    def set_terminated(self, run: str, status: str, end_time: int) -> None:
        with self._database() as database:
            active_experiment(database, run)
            database.execute("UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?", (status, end_time, run))

    def log_artifacts(self, run: str, folder: str) -> None:
        """Copy what is in a folder to the run's files."""
        with self._database("BEGIN") as database:
            active_experiment(database, run)
            ((uri,),) = database.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run,))
        _copy(folder, uri)

    def log_inputs(self, run: str, datasets: Sequence[DatasetInput]) -> None:
        """Datasets that the run used; one that is there already, by name and digest, stays."""
        with self._database() as database:
            add_datasets(database, active_experiment(database, run), run, datasets)

    def search_logged_models(self, experiments: Sequence[str], query: str) -> list[LoggedModel]:
        """The models of one run: "source_run_id = '...'"."""
        (run,) = _matched(_BY_RUN, query)
        with self._database("BEGIN") as database:
            found = database.execute(
                "SELECT model_id FROM logged_models WHERE source_run_id = ? AND lifecycle_stage = 'active'", (run,)
            ).fetchall()
            return [read_model(database, model) for (model,) in found]

    def create_logged_model(self, experiment: str, name: str, run: str, tags: Mapping[str, str]) -> LoggedModel:
        """A model that is not complete yet."""
        place = self._place(experiment)
        model = f"m-{uuid.uuid4().hex}"
        with self._database() as database:
            database.execute(
                "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms, "
                "last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id, status_message) "
                "VALUES (?, ?, ?, ?, ?, ?, 1, 'active', NULL, ?, NULL)",
                (model, int(experiment), name, f"{place}/models/{model}/artifacts", now := _now(), now, run),
            )
            database.executemany(
                "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) VALUES (?, ?, ?, ?)",
                [(model, int(experiment), key, value) for key, value in tags.items()],
            )
            return read_model(database, model)

    def log_model_artifacts(self, model: str, folder: str) -> None:
        """Copy what is in a folder to the model's files."""
        with self._database("BEGIN") as database:
            uri = read_model(database, model).artifact_location
        _copy(folder, uri)

    def log_outputs(self, run: str, models: Sequence[LoggedModelOutput]) -> None:
        with self._database() as database:
            active_experiment(database, run)
            database.executemany(
                "INSERT OR IGNORE INTO inputs (input_uuid, source_type, source_id, destination_type, "
                "destination_id, step) VALUES (?, 'RUN_OUTPUT', ?, 'MODEL_OUTPUT', ?, ?)",
                [(uuid.uuid4().hex, run, model.model_id, model.step) for model in models],
            )

    def finalize_logged_model(self, model: str, status: str) -> None:
        with self._database() as database:
            database.execute(
                "UPDATE logged_models SET status = ?, last_updated_timestamp_ms = ? WHERE model_id = ?",
                (STATES.index(status), _now(), model),
            )

    def _experiment(self, where: str, value: str | int) -> Experiment | None:
        return next(iter(self._experiments(where, value)), None)

    def _experiments(self, where: str, value: str | int) -> list[Experiment]:
        columns = "experiment_id, name, artifact_location, lifecycle_stage"
        with self._database("BEGIN") as database:
            found = database.execute(
                f"SELECT {columns} FROM experiments WHERE {where} AND workspace = 'default'", (value,)
            )
            return [Experiment(str(number), *rest) for number, *rest in found]

    def _place(self, experiment: str) -> str:
        found = self._experiment("experiment_id = ?", int(experiment))
        if found is None or found.lifecycle_stage != "active":
            raise TrackingError(f"MLflow in {self._path}: experiment {experiment} is not there or was deleted")
        return (found.artifact_location or "").rstrip("/")

    @contextlib.contextmanager
    def _database(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """A connection for one transaction. The file is not made: a database that is gone is an error."""
        if self._open is not None:
            yield self._open
            return
        uri = f"{self._path.as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(begin)
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def local_folder(uri: str) -> Path | None:
    """The folder that an artifact location names; None where it is not on this machine."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        return None
    return Path(unquote(parts.path))


def _copy(folder: str, uri: str) -> None:
    target = local_folder(uri)
    if target is None:
        raise TrackingError(f"MLflow: {uri} is not a folder of this machine")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, target, dirs_exist_ok=True)


def _matched(pattern: re.Pattern[str], query: str) -> tuple[str, ...]:
    found = pattern.fullmatch(query)
    if found is None:
        raise ValueError(f"a query that SqliteClient does not have: {query}")
    return found.groups()


def _now() -> int:
    return time.time_ns() // 1_000_000
