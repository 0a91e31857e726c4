"""The MLflow UI on a pipeline's runs: the command that serves it, and the pages to open."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import quote

from orchestrator.tracking.mlflow_client import SQLITE, artifact_location, database_file, quoted, resolve_uri
from orchestrator.tracking.run_table import VIEW

# Without it MLflow opens in the mode for language-model traces, where the charts are not.
_MODE = "workflowType=machine_learning"


def ui_command(host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """The command of an MLflow server with one worker; `ui_environment` says on which store, in `ui_folder`."""
    return [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]


def ui_folder(uri: str) -> Path | None:
    """Where `ui_command` has to run: in the folder of an SQLite file whose path needs quoting. None: anywhere.

    By its whole path the server would make a second folder, of the quoted name.
    """
    file = database_file(uri)
    return file.parent if file is not None and quoted(file.parent) != str(file.parent) else None


def ui_environment(uri: str) -> dict[str, str]:
    """The environment for `ui_command`, in `ui_folder`.

    The store's address may hold a password: a command's arguments are for everyone on the machine to read, its
    environment is not.
    """
    store, folder = resolve_uri(uri), ui_folder(uri)
    if folder is not None:
        store = SQLITE + store.removeprefix(SQLITE).removeprefix(quoted(folder)).removeprefix("/")
    return {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifact_location(uri, "default") or "",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def page(address: str, experiment_id: str | None = None, run_id: str | None = None) -> str:
    """The UI's page of a run, of an experiment's runs with the columns of `run_table`, or of all experiments."""
    base = f"{address.rstrip('/')}/#/experiments"
    if experiment_id is None:
        return f"{base}?{_MODE}"
    if run_id is None:
        return f"{base}/{quote(experiment_id)}/runs?{_MODE}&viewStateShareKey={VIEW}"
    return f"{base}/{quote(experiment_id)}/runs/{quote(run_id)}?{_MODE}"
