"""Real stores for the tracking tests: SQLite files, and MLflow's own server as a process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cluster.log_levels import quiet
from orchestrator.tracking import run_tracker
from orchestrator.tracking.mlflow_ui import ui_command, ui_environment
from tests.orchestrator.tracking.faults import Faulty
from tests.orchestrator.tracking.run_listener import Listener

quiet()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tracking sets in the environment ends with the test, and what the machine sets does not matter."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.setenv(name, os.environ[name])
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def database(new_database: Callable[[Path], str], tmp_path: Path) -> Path:
    """The file of an empty tracking database."""
    file = tmp_path / ".everlearn" / "mlflow.db"
    new_database(file)
    return file


@pytest.fixture
def make_database(new_database: Callable[[Path], str], tmp_path: Path) -> Callable[[], Path]:
    """Makes further empty databases."""

    def make() -> Path:
        file = tmp_path / f"other-{len(list(tmp_path.iterdir()))}" / "mlflow.db"
        new_database(file)
        return file

    return make


@pytest.fixture
def uri(database: Path) -> str:
    return f"sqlite:///{database}"


@dataclass
class Server:
    """An MLflow server that can be killed and started again on the same port and database."""

    database: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return ui_command(port=self.port)

    def environment(self) -> dict[str, str]:
        return ui_environment(f"sqlite:///{self.database}")

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(),
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.database.parent,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            assert self.process.poll() is None, "the MLflow server ended"
            time.sleep(0.2)
        raise AssertionError("the MLflow server does not answer")

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def make_server(new_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(started: bool = True) -> Server:
        file = tmp_path / f"server-{len(servers)}.db"
        new_database(file)
        servers.append(Server(file, free_port()))
        if started:
            servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.kill()


@pytest.fixture
def faulty() -> Iterator[Callable[[int | str], Faulty]]:
    """Makes servers that misbehave."""
    servers: list[Faulty] = []

    def make(behaviour: int | str) -> Faulty:
        servers.append(Faulty(behaviour))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def quick_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits between attempts to reach a server."""
    monkeypatch.setattr(run_tracker, "PERIOD", 0.05)
    monkeypatch.setattr(run_tracker, "BACK_OFF", (0.1, 0.4))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def patient_tracking(quick_tracking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that work, on a machine that may be busy."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def no_tracking_thread_is_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 30
    while [thread for thread in threading.enumerate() if thread.name == "everlearn-tracking"]:
        assert time.monotonic() < deadline, "a tracking thread is still running"
        time.sleep(0.05)
