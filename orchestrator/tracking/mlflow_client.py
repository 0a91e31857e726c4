"""Reaching MLflow: where the store is, how long to wait for it, and what to say when it cannot be used."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from orchestrator.errors import OrchestratorError, TrackingError
from orchestrator.redact import redact
from orchestrator.tracking import sqlite_entities
from orchestrator.tracking.new_database import create_database, has_schema_of
from orchestrator.tracking.sqlite_client import SqliteClient
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"

# With MLflow's own settings one log call to a server that is down blocks for 247 s. A server may also ask for any delay
# before the next attempt; attempts are spaced by the tracker instead.
_REQUESTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def is_server(uri: str) -> bool:
    """Whether a tracking server is at `uri`; otherwise this process writes to a database itself."""
    return uri.startswith(("http://", "https://", "databricks"))


def resolve_uri(uri: str) -> str:
    """`uri` with the path of an SQLite file made absolute, so that it means the same in any directory."""
    file = database_file(uri)
    if file is None:
        return uri
    _, question, options = uri.partition("?")
    return f"{SQLITE}{quoted(file)}{question}{options}"


def quoted(path: Path) -> str:
    """A path in a URI: SQLAlchemy ends it at a question mark, and decodes what follows a percent sign."""
    return str(path).replace("%", "%25").replace("?", "%3F")


def database_file(uri: str) -> Path | None:
    """The absolute path of the SQLite file that `uri` names; None for servers, other databases and memory."""
    path = uri.removeprefix(SQLITE)
    if path == uri or not path or path.startswith(":memory:"):
        return None
    return Path(unquote(path.partition("?")[0])).expanduser().absolute()


def connect(uri: str) -> MlflowClient:
    """A client of the store at `uri` that gives up within a bounded time. Importing MLflow takes a second.

    An SQLite file and its folder are created when they are absent, at the first use. Settings of MLflow's that a
    person made in the environment win.
    """
    for name, value in _REQUESTS.items():
        os.environ.setdefault(name, value)
    import mlflow
    from mlflow import MlflowClient

    # MLflow logs a traceback for each database error that it also raises.
    if logging.getLogger("mlflow").getEffectiveLevel() >= logging.WARNING:
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    with tracking_errors(uri):
        _open_sqlite(database_file(uri), mlflow.__version__)
        return MlflowClient(tracking_uri=resolve_uri(uri))


def open_client(uri: str, experiment: str) -> tuple[MlflowClient | SqliteClient, str]:
    """A client of the store at `uri` for showing a run, and the id of the experiment, which is made when absent.

    A database in SQLite is written without loading MLflow where it has the schema of the installed MLflow, and the
    experiment's files lie on this machine.

    Raises:
        TrackingError: the store cannot be used, or the experiment was deleted.
    """
    path = database_file(uri)
    if path is not None and "?" not in uri and not os.environ.get("MLFLOW_ENABLE_WORKSPACES"):
        with tracking_errors(uri):
            path.parent.mkdir(parents=True, exist_ok=True)
            version = importlib.metadata.version("mlflow")
            create_database(path, version, path.parent / "artifacts")
            if has_schema_of(path, version):
                client = SqliteClient(path)
                number = experiment_id(client, uri, experiment)
                if client.keeps_files_here(number):
                    return client, number
    other = connect(uri)
    return other, experiment_id(other, uri, experiment)


def entities(client: MlflowClient | SqliteClient) -> Any:
    """Where the client's `Metric`, `Param`, `RunTag` and `LoggedModelOutput` are."""
    if isinstance(client, SqliteClient):
        return sqlite_entities
    import mlflow.entities

    return mlflow.entities


def together(client: MlflowClient | SqliteClient) -> contextlib.AbstractContextManager[None]:
    """One transaction for the calls in the block, where the client has transactions."""
    return client.together() if isinstance(client, SqliteClient) else contextlib.nullcontext()


def _open_sqlite(path: Path | None, version: str) -> None:
    """Make the database if there is none, and fail at once where MLflow would try for a minute."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    create_database(path, version, path.parent / "artifacts")
    from mlflow.store.db import utils

    if hasattr(utils, "_make_parent_dirs_if_sqlite"):
        # MLflow would make a folder of the quoted name beside the database's own folder, which exists.
        utils._make_parent_dirs_if_sqlite = lambda _: None
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma schema_version")


def experiment_id(client: MlflowClient | SqliteClient, uri: str, name: str) -> str:
    """The id of the experiment called `name`, created when absent, also when another process does so at this moment.

    Raises:
        TrackingError: it was deleted, or the store cannot be used.
    """
    with tracking_errors(uri):
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(
                    client.create_experiment(
                        name,
                        artifact_location=artifact_location(uri, name),
                        # Without it the UI shows an experiment without traces as one of language models.
                        tags={"mlflow.experimentKind": "custom_model_development"},
                    )
                )
            except Exception as error:
                exists = getattr(error, "error_code", None) == "RESOURCE_ALREADY_EXISTS"
                if not exists and not isinstance(error, sqlite3.IntegrityError):
                    raise
                found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        known = f" --experiment-id {found.experiment_id}" if found is not None else ""
        raise TrackingError(
            f"tracking.experiment: {name} was deleted in MLflow at {uri}\n"
            f"Restore it with `mlflow experiments restore{known}`, or name another one in the pipeline file."
        )
    return str(found.experiment_id)


def artifact_location(uri: str, name: str) -> str | None:
    """Where the files of a new experiment go: beside an SQLite file; None leaves the choice to a server."""
    if is_server(uri):
        return None
    file = database_file(uri)
    beside = file.parent if file is not None else Path(".everlearn")
    return (beside / "artifacts" / quote(name, safe="")).absolute().as_uri()


@contextlib.contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """An error of MLflow inside the block becomes a TrackingError that names the store and the reason."""
    try:
        yield
    except (OrchestratorError, PipelineError):
        raise
    except Exception as error:
        raise TrackingError(f"MLflow at {resolve_uri(uri)} cannot be used: {reason(error)}") from error


_STATUS = re.compile(r"error code (\d{3})|(\d{3}) Client Error|(\d{3}) Server Error|too many (\d{3}) error responses")
_CODES = {
    "UNAUTHENTICATED": "401", "CUSTOMER_UNAUTHORIZED": "401", "PERMISSION_DENIED": "403", "INTERNAL_ERROR": "500",
    "TEMPORARILY_UNAVAILABLE": "503", "REQUEST_LIMIT_EXCEEDED": "429",
}  # fmt: skip
_MEANINGS = {
    "401": "it asks for a login (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
    "or MLFLOW_TRACKING_TOKEN",
    "403": "access is denied (403)",
    "429": "it asks for fewer requests (429)",
    "500": "the server failed (500)",
    "503": "the server is overloaded or starting (503)",
}


def reason(error: BaseException) -> str:
    """Why MLflow could not be used, in a few words, without secrets."""
    text = redact(" ".join(str(error).split()))
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes) or "Connection refused" in text:
        return "nothing answers there (connection refused)"
    if any(isinstance(cause, TimeoutError) for cause in causes) or "timed out" in text:
        return "it does not answer in time"
    if "Name or service not known" in text or "Failed to resolve" in text or "name resolution" in text:
        return "its host name is not known"
    found = _STATUS.search(text)
    status = next(group for group in found.groups() if group) if found else _code(error)
    if status in _MEANINGS:
        return _MEANINGS[status]
    if "file is not a database" in text:
        return "the file is not an SQLite database"
    if "unable to open database file" in text or "readonly database" in text:
        return "the database file cannot be opened for writing"
    if "database is locked" in text:
        return "the database is locked by another process"
    if "disk is full" in text or "No space left" in text:
        return "the disk is full"
    if status:
        return f"the server answered {status}"
    return text[:200] or type(error).__name__


def _code(error: BaseException) -> str | None:
    # A local database reports its errors with the codes of a server's errors.
    remote = type(error).__name__ == "RestException"
    return _CODES.get(str(getattr(error, "error_code", ""))) if remote else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [other for other in (cause.__cause__, cause.__context__) if other is not None]
        waiting += [part for part in getattr(cause, "args", ()) if isinstance(part, BaseException)]
        inner = getattr(cause, "reason", None)
        if isinstance(inner, BaseException):
            waiting.append(inner)
