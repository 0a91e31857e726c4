"""The page "From arriving files to a served model": its blocks in their order, as they are, or on servers of S3 and
MLflow and on Ray Serve, of which each is killed once.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from orchestrator.lineage.decisions import newest_first
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates.admission_log import AdmissionLog
from tests.docs.pages import PAGES, read
from tests.docs.quick_commands import Loaded
from tests.orchestrator.serving.clients import Client, until
from tests.orchestrator.tracking.conftest import Server, free_port
from tests.orchestrator.tracking.stores import points
from tests.s3.server import S3Server

PAGE = read(PAGES / "tutorials" / "stream-to-serving.md")
COMMAND = re.compile(r"^(everlearn (?:step|backfill) .*)$", re.MULTILINE)
ROWS = {"rows": [{"temperature": 62, "vibration": 1.2, "current": 8.1}]}
REPLICA = "ServeReplica:everlearn-machines:model"
PATIENCE_S = 600
"""How long a busy machine may take to restart a killed service."""


class Tutorial:
    """The page's blocks in their order, in a folder of their own."""

    def __init__(self, folder: Path, loaded: Loaded, environment: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI")},
            "PATH": os.pathsep.join((str(loaded.folder), str(Path(sys.executable).parent), os.environ["PATH"])),
            **environment,
        }

    def go(self) -> None:
        for block in PAGE.blocks:
            text = self.changed(block.text)
            if block.title:
                (self.folder / block.title).write_text(text)
            elif block.language == "bash":
                for part in COMMAND.split(text):
                    if part.startswith("everlearn step"):
                        self.step(part)
                    elif part.strip():
                        self.run(["bash", "-euo", "pipefail", "-c", part.strip()])
            elif block.language == "python":
                self.run(["python3", "-c", text])

    def changed(self, text: str) -> str:
        """The page's text as it is run."""
        # On a busy machine a server may take longer to start than the page waits for it.
        return text.replace("8417", str(self.port)).replace("range(600)", f"range({PATIENCE_S * 10})")

    def step(self, line: str) -> None:
        self.run(["bash", "-euo", "pipefail", "-c", line])

    def run(self, command: list[str]) -> None:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    def end(self) -> None:
        with suppress(OSError, ValueError):
            os.kill(int((self.folder / "serve.pid").read_text()), signal.SIGTERM)


class OnServers(Tutorial):
    """The same on servers, with a client that asks all the time.

    Attributes:
        killed: the services that were killed.
        asked: the commits that have answered.
        failed: requests that had no answer, but for those that a replica had when it was killed.
        pause: seconds between two requests.
    """

    pause = 0.1

    def __init__(self, folder: Path, loaded: Loaded, mlflow: Server, endpoint: str, replicas: int) -> None:
        import boto3

        self.bucket = boto3.resource("s3", endpoint_url=endpoint).Bucket(f"stream-{uuid.uuid4().hex[:12]}")
        self.bucket.create()
        self.storage = f"s3://{self.bucket.name}/store"
        super().__init__(folder, loaded, {"EVERLEARN_STORAGE": self.storage, "MLFLOW_TRACKING_URI": mlflow.uri})
        self.mlflow, self._count = mlflow, replicas
        self.killed: list[str] = []
        self.asked: set[str | None] = set()
        self.failed: list[str] = []
        self._delivered: dict[str, bytes] = {}
        self._calm, self._ended = threading.Event(), threading.Event()
        self._calm.set()
        self._asking = threading.Thread(target=self._ask, daemon=True)

    def changed(self, text: str) -> str:
        text = text.replace("path: incoming", f"path: s3://{self.bucket.name}/incoming")
        return super().changed(text.replace("--local", f"--replicas {self._count}"))

    def run(self, command: list[str]) -> None:
        if "kill $(cat serve.pid)" in command[-1]:
            self._ended.set()
            self._asking.join()
        super().run(command)
        for file in sorted((self.folder / "incoming").glob("*")):
            if self._delivered.get(file.name) != file.read_bytes():
                self._delivered[file.name] = file.read_bytes()
                self.bucket.put_object(Key=f"incoming/{file.name}", Body=file.read_bytes())
        if "ask_until(lambda commit: True)" in command[-1]:
            self._asking.start()
            self.served()

    def served(self) -> None:
        """Called when the model answers for the first time."""

    def step_until(
        self, sign: str, command: list[str], kill: Callable[[subprocess.Popen[str]], object], what: str
    ) -> None:
        """Start a step, and kill something when it has written `sign`."""
        step = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert step.stdout is not None
        told = ""
        for line in step.stdout:
            told += line
            if what not in self.killed and sign in line:
                kill(step)
                self.killed.append(what)
        step.wait()
        assert what in self.killed, told

    def kill_step(self, line: str) -> None:
        """A step that is killed in experience 1. A process of its own: the signal would not reach a forked one."""
        command = [sys.executable, "-m", "orchestrator.cli.main", *line.split()[1:]]
        self.step_until("experience 1 ", command, lambda step: step.send_signal(signal.SIGKILL), "step")

    def replicas(self) -> set[int]:
        """Processes of the model's replicas that belong to this page."""
        found = set()
        for process in psutil.process_iter(["cmdline"]):
            if REPLICA in " ".join(process.info["cmdline"] or ()):
                with suppress(psutil.Error):
                    if process.environ().get("MLFLOW_TRACKING_URI") == self.mlflow.uri:
                        found.add(process.pid)
        return found

    def _ask(self) -> None:
        client = Client(self.port)
        while not self._ended.wait(self.pause):
            calm = self._calm.is_set()
            try:
                got = client.predict(ROWS)
                problem = "" if got.status == 200 else f"{got.status} {got.body[:200]!r}"
                self.asked |= {got.commit} if got.status == 200 else set()
            except OSError as error:
                problem = repr(error)
                client = Client(self.port)
            if problem and calm and self._calm.is_set():
                self.failed.append(problem)

    def end(self) -> None:
        self._ended.set()
        super().end()
        until(lambda: not self.replicas(), PATIENCE_S)


class Disturbed(OnServers):
    """A step, MLflow, a replica and S3 get a SIGKILL, each once."""

    def __init__(self, folder: Path, loaded: Loaded, mlflow: Server, s3: S3Server) -> None:
        super().__init__(folder, loaded, mlflow, s3.environment["AWS_ENDPOINT_URL"], replicas=2)
        self.s3 = s3
        self._starting: threading.Thread | None = None

    def run(self, command: list[str]) -> None:
        if command[-1].startswith("everlearn promote") and self._starting is not None:
            self._starting.join()
        super().run(command)

    def step(self, line: str) -> None:
        if not self.killed:
            self.kill_step(line)
            self.step_until("experience 1 ", line.split(), lambda step: self.mlflow.kill(), "MLflow")
            self._starting = threading.Thread(target=self.mlflow.start)
            self._starting.start()
        else:
            self.step_until("experience 0 ", line.split()[:3], self._crash, "S3")
        super().step(line)  # what a scheduler does after a failure; there may be nothing left to do

    def _crash(self, step: subprocess.Popen[str]) -> None:
        self.s3.crash()
        self.s3.start()

    def served(self) -> None:
        before = self.replicas()
        assert len(before) == 2
        self._calm.clear()
        os.kill(min(before), signal.SIGKILL)
        self.killed.append("replica")
        until(lambda: len(self.replicas()) == 2 and min(before) not in self.replicas(), PATIENCE_S)
        client, seen = Client(self.port), set[str]()

        def both_answer() -> bool:
            seen.update(re.findall(r'replica="([^"]+)",commit="', client.ask("GET", "/metrics").body.decode()))
            return len(seen) >= 2

        until(both_answer, PATIENCE_S)
        self._calm.set()

    def end(self) -> None:
        if self._starting is not None:
            self._starting.join()
        super().end()


def left(storage: str) -> dict[str, Any]:
    """What a stream has left in its store, without times and names of machines."""
    lineage = Lineage(open_store(storage), "machines")
    refs = {name: ref.commit for name, ref in lineage.refs().items()}
    decisions = [
        record.model_dump(mode="json", exclude={"at", "by", "previous", "checksum"}) for record in newest_first(lineage)
    ]
    for record in decisions:
        record["evidence"].pop("seconds", None)
    admitted = [
        record.model_dump(
            mode="json", exclude={"at": True, "previous": True, "checksum": True, "files": {"__all__": {"version"}}}
        )
        for record in AdmissionLog(lineage).records()
    ]
    commits = {
        commit.id: {name: blob.sha256 for name, blob in commit.blobs.items()}
        for name in refs.values()
        for commit in lineage.chain(name)
    }
    return {"refs": refs, "decisions": decisions, "admitted": admitted, "commits": commits}


def told(database: Path) -> dict[tuple[Any, ...], float]:
    """The newest value of each point in MLflow, without those of what it took."""
    newest = sorted((point for point in points(database) if "seconds" not in point[1]), key=lambda point: point[3])
    return {(run, key, step): value for run, key, step, _, value in newest}
