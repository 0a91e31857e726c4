"""What a tracking database holds, row by row, for comparing it before and after."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

TABLES = (
    "runs", "metrics", "latest_metrics", "params", "tags", "logged_models", "logged_model_metrics",
    "logged_model_tags", "model_versions", "inputs",
)  # fmt: skip


def rows(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    with sqlite3.connect(database) as connection:
        return {table: sorted(connection.execute(f"select * from {table}"), key=repr) for table in TABLES}


def points(database: Path) -> list[tuple[Any, ...]]:
    """(run name, key, step, time, value) of all metrics."""
    query = """select runs.name, metrics.key, metrics.step, metrics.timestamp, metrics.value
        from metrics join runs on runs.run_uuid = metrics.run_uuid"""
    with sqlite3.connect(database) as connection:
        return sorted(connection.execute(query))


def parents(database: Path) -> list[tuple[Any, ...]]:
    """(run id, status, start, end) of the runs that are not nested."""
    query = """select run_uuid, status, start_time, end_time from runs
        where run_uuid in (select run_uuid from tags where key = 'everlearn.run')"""
    with sqlite3.connect(database) as connection:
        return sorted(connection.execute(query))
