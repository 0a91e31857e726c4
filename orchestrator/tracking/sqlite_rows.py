"""The rows of MLflow's database in SQLite, read and written within a transaction of `SqliteClient`."""

from __future__ import annotations

import math
import sqlite3
import uuid
from collections.abc import Iterable, Mapping

from orchestrator.errors import TrackingError
from orchestrator.tracking.sqlite_entities import DatasetInput, LoggedModel, Param, Run, RunData, RunInfo

STATES = ("UNSPECIFIED", "PENDING", "READY", "FAILED")
"""Of a logged model, by their numbers in the database."""

_LONGEST_TAG = 8000
_LARGEST = 1.7976931348623157e308


def active_experiment(database: sqlite3.Connection, run: str) -> int:
    """The number of the run's experiment."""
    found = database.execute("SELECT experiment_id, lifecycle_stage FROM runs WHERE run_uuid = ?", (run,)).fetchone()
    if found is None:
        raise TrackingError(f"MLflow: run {run} is not there")
    if found[1] != "active":
        raise TrackingError(f"MLflow: run {run} was deleted; `mlflow runs restore --run-id {run}` brings it back")
    return int(found[0])


def read_run(database: sqlite3.Connection, run: str) -> Run:
    """A run with its tags, parameters and latest metrics."""
    query = "SELECT run_uuid, status, start_time, end_time, artifact_uri, experiment_id FROM runs WHERE run_uuid = ?"
    id_, status, start, end, uri, experiment = database.execute(query, (run,)).fetchone()
    tags, params, metrics = (
        dict(database.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run,)).fetchall())
        for table in ("tags", "params", "latest_metrics")
    )
    return Run(RunInfo(id_, status, start, end, uri, str(experiment)), RunData(tags, params, metrics))


def read_model(database: sqlite3.Connection, model: str) -> LoggedModel:
    """A model with its tags."""
    row = database.execute(
        "SELECT model_id, status, artifact_location FROM logged_models WHERE model_id = ?", (model,)
    ).fetchone()
    tags = database.execute("SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?", (model,))
    return LoggedModel(row[0], STATES[row[1]], row[2], dict(tags.fetchall()))


def set_params(database: sqlite3.Connection, run: str, params: Iterable[Param]) -> None:
    """Set parameters. Raises TrackingError where one is set to another value."""
    known = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
    for key, value in params:
        if known.setdefault(key, value) != value:
            raise TrackingError(f"MLflow: parameter {key} of run {run} is {known[key]} and cannot become {value}")
        database.execute("INSERT OR IGNORE INTO params (key, value, run_uuid) VALUES (?, ?, ?)", (key, value, run))


def set_tags(database: sqlite3.Connection, run: str, tags: Mapping[str, str]) -> None:
    """Set tags, cut to the length that MLflow takes."""
    database.executemany(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?) "
        "ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value",
        [(key, value[:_LONGEST_TAG], run) for key, value in tags.items()],
    )


def sql_number(value: float) -> tuple[float, bool]:
    """A value as SQL can hold it, and whether it is none."""
    return (0.0, True) if math.isnan(value) else (max(-_LARGEST, min(_LARGEST, float(value))), False)


def add_datasets(database: sqlite3.Connection, experiment: int, run: str, datasets: Iterable[DatasetInput]) -> None:
    """Datasets of an experiment as inputs of a run; what is there already, by name and digest, stays."""
    for entry in datasets:
        data = entry.dataset
        key = (experiment, data.name, data.digest)
        database.execute(
            "INSERT OR IGNORE INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, "
            "dataset_source, dataset_schema, dataset_profile) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (uuid.uuid4().hex, *key, data.source_type, data.source, data.schema, data.profile),
        )
        ((known,),) = database.execute(
            "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?", key
        )
        number = uuid.uuid4().hex
        added = database.execute(
            "INSERT OR IGNORE INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id) "
            "VALUES (?, 'DATASET', ?, 'RUN', ?)",
            (number, known, run),
        )
        if added.rowcount:
            database.executemany(
                "INSERT INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?)",
                [(number, tag.key, tag.value) for tag in entry.tags],
            )
