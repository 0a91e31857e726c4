"""`python -m tests.orchestrator.tracking.dump_schema` writes the schema of MLflow's database for the version that is
installed, as its migrations make it."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path

import mlflow
from mlflow.store.db import utils

from orchestrator.tracking.new_database import SCHEMA


def migrate(path: Path) -> None:
    """Make the database at `path` as MLflow does."""
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{path}")
    utils._initialize_tables(engine)
    engine.dispose()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        migrate(path)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            lines = [f"-- The database of MLflow {mlflow.__version__}", *connection.iterdump()]
    SCHEMA.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
