"""A new MLflow database in SQLite, made from a schema instead of by all of MLflow's migrations one by one.

The schema is the one that the migrations of one version of MLflow make, written down in `mlflow_schema.sql`; a test
compares them. With another version MLflow makes its database itself, as slowly as ever.
`python -m tests.orchestrator.tracking.dump_schema` writes the file again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from pathlib import Path

_DEFAULT_EXPERIMENT = (
    "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, "
    "last_update_time, workspace) VALUES (0, 'Default', ?, 'active', ?, ?, 'default')"
)
SCHEMA = Path(__file__).with_name("mlflow_schema.sql")


def create_database(path: Path, version: str, artifacts: Path | None = None) -> bool:
    """Make the database at `path`, and say whether it was made here.

    A file that is there already is left as it is, whatever it holds. Of several processes one makes the file; it is
    complete when it appears.

    Args:
        version: of the MLflow that is installed.
        artifacts: folder for the files of MLflow's default experiment, which is then made, too. MLflow itself writes
            its path into a statement of SQL without quoting it, and fails where that has quotes.
    """
    if path.exists() or _made_for() != version:
        return False
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
    # Where this fails, such as on a file system without links, MLflow makes the database or says why it cannot.
    with contextlib.suppress(OSError, sqlite3.Error):
        try:
            with contextlib.closing(sqlite3.connect(draft)) as connection:
                connection.executescript(SCHEMA.read_text(encoding="utf-8"))
                if artifacts is not None:
                    now = int(1000 * time.time())
                    connection.execute(_DEFAULT_EXPERIMENT, ((artifacts.absolute() / "0").as_uri(), now, now))
                    connection.commit()
            os.link(draft, path)
            return True
        finally:
            draft.unlink(missing_ok=True)
    return False


def has_schema_of(path: Path, version: str) -> bool:
    """Whether the database has this schema, and this schema is that of MLflow `version`.

    Raises:
        sqlite3.DatabaseError: the file is no database.
    """
    if _made_for() != version:
        return False
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        try:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return False
            raise
    return len(found) == 1 and f"INSERT INTO \"alembic_version\" VALUES('{found[0][0]}')" in _head()


def _made_for() -> str:
    return _head().partition("\n")[0].rpartition(" ")[2].strip()


def _head() -> str:
    with SCHEMA.open(encoding="utf-8") as file:
        return file.read(1000)
