"""`everlearn ui`: the MLflow UI with the runs of a pipeline."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO

import click

from orchestrator.cli.support.command_options import Command, Settings, file_argument, load, program, set_option
from orchestrator.progress.printable import say

DEFAULT_PORT = 5000
_PORTS_TRIED = 20
# The first start migrates the database and imports many packages: up to a minute on a loaded machine.
_SECONDS_TO_START = 120.0


@click.command("ui", cls=Command, short_help="Open the MLflow UI.")
@file_argument(required=False)
@set_option
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help=f"Port of the UI; by default the first free one from {DEFAULT_PORT}.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.pass_obj
def ui(settings: Settings, file: str | None, overrides: tuple[str, ...], port: int | None, host: str) -> None:
    """Open the MLflow UI with the runs of FILE, until Ctrl-C. Without FILE: with the default tracking database.

    If the pipeline uses a tracking server, the address of the server is printed instead.
    """
    from orchestrator.errors import TrackingError
    from orchestrator.redact import redact
    from orchestrator.tracking.mlflow_client import database_file, is_server, resolve_uri
    from orchestrator.tracking.mlflow_ui import page

    uri, experiment = _tracking(file, overrides)
    if is_server(uri):
        say(f"MLflow UI: {redact(page(uri, _experiment_id(uri, experiment)))}")
        return
    uri = resolve_uri(uri)
    database = database_file(uri)
    if database is not None and not database.exists():
        raise TrackingError(
            f"no runs yet: {database} does not exist\nTrain the pipeline first: {program()} run {file or 'FILE'}"
        )
    port = _free_port(host, port)
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    say("Starting the MLflow UI ...", err=True)
    # Ctrl-C is how it ends, at any moment: whoever reads the address may stop it before the next line is reached.
    with contextlib.suppress(KeyboardInterrupt), _server(uri, host, port, settings.verbose) as (process, log):
        _wait_until_healthy(address, process, log)
        say(f"MLflow UI: {page(address, _experiment_id(address, experiment))}")
        say("Press Ctrl-C to stop it.", err=True)
        process.wait()
        raise TrackingError(f"the MLflow server stopped with status {process.returncode}\n{_last_line(log)}")
    say(err=True)


def _tracking(file: str | None, overrides: tuple[str, ...]) -> tuple[str, str | None]:
    """The tracking URI, and the experiment's name if a file names one."""
    if file is not None:
        pipeline = load(file, overrides, import_code=False)
        return pipeline.tracking.uri, pipeline.tracking.experiment or pipeline.name
    if overrides:
        raise click.UsageError("--set needs a FILE whose values it sets.", click.get_current_context())

    from pipelines.config.environment_variables import DEFAULT_TRACKING, expand

    return expand(DEFAULT_TRACKING), None


def _free_port(host: str, wanted: int | None) -> int:
    candidates = [wanted] if wanted is not None else range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED)
    for port in candidates:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return port
    message = f"port {candidates[0]} of {host} is not available; choose another one with --port"
    raise click.UsageError(message, click.get_current_context())


@contextlib.contextmanager
def _server(uri: str, host: str, port: int, verbose: bool) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """The MLflow server as a child in its own process group, so that its workers end with it."""
    from orchestrator.tracking.mlflow_ui import ui_command, ui_environment, ui_folder

    with tempfile.TemporaryFile() as log:
        output = sys.stderr if verbose else log
        process = subprocess.Popen(
            ui_command(host, port),
            env=ui_environment(uri),
            cwd=ui_folder(uri),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        previous = signal.signal(signal.SIGTERM, _interrupt)
        try:
            yield process, log
        finally:
            signal.signal(signal.SIGTERM, previous)
            _end(process)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    from orchestrator.errors import TrackingError

    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TrackingError(f"the MLflow server did not start (status {process.returncode})\n{_last_line(log)}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return
        time.sleep(0.2)
    raise TrackingError(
        f"the MLflow server did not answer within {_SECONDS_TO_START:.0f} s; --verbose shows its output"
    )


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "--verbose shows its output")


def _experiment_id(address: str, experiment: str | None) -> str | None:
    """The id of the experiment on the server; None if there is none, or the server does not answer."""
    if experiment is None:
        return None
    query = urllib.parse.urlencode({"experiment_name": experiment})
    url = f"{address.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name?{query}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(json.load(answer)["experiment"]["experiment_id"])
    except (OSError, ValueError, KeyError):
        return None
