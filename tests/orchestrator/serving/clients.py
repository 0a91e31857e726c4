"""Real HTTP: a client, a server that runs in a thread, and one that is a process."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from orchestrator.serving.http_service import PredictionService
from orchestrator.serving.local_server import _server, listening


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def commit(self) -> str | None:
        return self.headers.get("everlearn-commit")


class Client:
    """Keeps one connection, as clients do; it is opened again when the server closed it."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Got:
        """One request; header names have underscores for dashes.

        An object or a list is sent as JSON, bytes as they are, other iterables in chunks.
        """
        sent = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict | list):
            body, sent = json.dumps(body).encode(), {"content-type": "application/json"} | sent
        self._connection.request(method, path, body, sent)
        answer = self._connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Got(answer.status, found, answer.read())

    def predict(self, body: Any, **headers: str) -> Got:
        return self.ask("POST", "/predict", body, **headers)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def in_a_thread(service: PredictionService) -> Iterator[int]:
    """The port at which a service answers while the block runs."""
    where = listening("127.0.0.1", 0)
    server = _server(service)
    thread = threading.Thread(target=lambda: server.run(sockets=[where]))
    thread.start()
    try:
        yield where.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


class Process(NamedTuple):
    """`everlearn serve --json` as a process."""

    running: subprocess.Popen[str]
    port: int

    @property
    def out(self) -> IO[str]:
        assert self.running.stdout is not None
        return self.running.stdout

    def event(self, kind: str) -> dict[str, Any]:
        """The next event of a kind; others before it are skipped."""
        for line in self.out:
            found: dict[str, Any] = json.loads(line)
            if found["kind"] == kind:
                return found
        raise AssertionError(f"the server ended without the event {kind}")


@contextmanager
def process(file: Path, *options: str, **environment: str) -> Iterator[Process]:
    """A server that is killed after the block, if it has not ended."""
    command = [sys.executable, "-m", "orchestrator.cli.main", "serve", str(file), "--json", "--port", "0", *options]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        found = Process(running, 0)
        address = found.event("listening")["address"]
        yield found._replace(port=int(address.rpartition(":")[2]))
    finally:
        running.kill()
        running.wait()
        found.out.close()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something: it is looked at less and less often, as looking takes CPU time that it may need."""
    end, pause = time.monotonic() + seconds, 0.005
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(pause)
        pause = min(1.3 * pause, 0.2)
