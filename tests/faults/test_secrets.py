"""Secrets are planted wherever a person may have them; then everything that was written is searched for them.

Ray's logs, too, are searched in `tests/e2e/test_local_ray.py`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke

pytestmark = [pytest.mark.slow]

USER, PASSWORD = "tracking-user-5f1e", "tracking/Pass%40word-93b1"
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAQ7PLANTED3KEYID4",
    "AWS_SECRET_ACCESS_KEY": "pLaNtEd/sEcReT+kEy0123456789abcdefGHIJKL",
    "AWS_SESSION_TOKEN": "planted-session-token//0123456789+/abcdef==",
    "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-password",
    "MLFLOW_TRACKING_TOKEN": "planted-mlflow-token-1",
    "RAY_AUTH_TOKEN": "planted-ray-token-0123456789abcdef",
}
# Nobody listens on port 9 of the loopback.
AWAY = f"http://{USER}:{PASSWORD}@127.0.0.1:9"
PIPELINE = """
name: digits
stream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 20}]
train: {epochs: 1, batch_size: 50, checkpoint_every: 1}
storage: "${EVERLEARN_STORAGE}"
tracking: {uri: "${MLFLOW_TRACKING_URI}"}
"""
PLANTED = [*SECRETS.values(), PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()]


class Place:
    """A folder with a pipeline file, in which commands are run; all that they print is kept there too."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._captured, self._number = folder, monkeypatch, captured, 0
        (folder / "digits.yaml").write_text(PIPELINE)
        monkeypatch.chdir(folder)
        self.environment = {
            **SECRETS,
            "MLFLOW_TRACKING_URI": AWAY,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "EVERLEARN_STORAGE": str(folder / "store"),
            # Ray's logs, too.
            "RAY_TMPDIR": str(folder),
        }

    def command(self, *arguments: str, expected: int, **environment: str) -> str:
        """Run one in this process; what it printed on stdout."""
        with self._monkeypatch.context() as patch:
            for name, value in {**self.environment, **environment}.items():
                patch.setenv(name, value)
            status = invoke(arguments)
        out, err = self._captured.readouterr()
        self._keep(out + err)
        assert status == expected, out + err
        return out

    def process(self, *command: str) -> str:
        """Run one in a process of its own; what it printed on stdout."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        self._keep(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _keep(self, text: str) -> None:
        self._number += 1
        (self.folder / f"printed-{self._number}").write_text(text)

    def leaks(self) -> list[str]:
        """Where something planted stands."""
        return [
            f"{path.relative_to(self.folder)}: {secret}"
            for path in self.folder.rglob("*")
            if path.is_file() and not path.is_symlink()
            for secret in PLANTED
            if secret.encode() in path.read_bytes()
        ]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Place]:
    # Not pytest's folder: the sockets of Ray need a short path.
    folder = Path(tempfile.mkdtemp(prefix="secrets-"))
    try:
        yield Place(folder, monkeypatch, capfd)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_run_and_what_people_do_around_it(place: Place, new_database: Callable[[Path], str]) -> None:
    place.command("validate", "digits.yaml", "--debug", expected=0)
    place.process(sys.executable, "-m", "orchestrator.cli.main", "run", "digits.yaml", "--debug", "--verbose")
    database = new_database(place.folder / "mlflow.db")
    again = json.loads(place.command("run", "digits.yaml", "--json", MLFLOW_TRACKING_URI=database, expected=0))
    assert again["reused"] == 2
    place.command("publish", "digits.yaml", "--debug", expected=3)
    place.command("log", "digits.yaml", "--debug", expected=0)
    place.command("show", again["lineage"][-1][:12], "--debug", expected=0)
    written = {path.name for path in place.folder.rglob("*")}
    assert {"mlflow.db", "store", "pipeline.yaml", f"{again['lineage'][-1]}.json"} <= written
    assert place.leaks() == []


@pytest.mark.parametrize("extra", [(), ("--debug",), ("--verbose",)], ids=["", "debug", "verbose"])
def test_commands_that_fail(place: Place, extra: tuple[str, ...]) -> None:
    key, secret = SECRETS["AWS_ACCESS_KEY_ID"], SECRETS["AWS_SECRET_ACCESS_KEY"]
    run = ("run", "digits.yaml", *extra)
    place.command(*run, EVERLEARN_STORAGE=f"s3://{key}:{secret}@bucket/x", expected=3)
    server = f"http://{USER}:{PASSWORD}@127.0.0.1:9"
    place.command(*run, EVERLEARN_STORAGE="s3://bucket/x", AWS_ENDPOINT_URL=server, expected=3)
    place.command("publish", "digits.yaml", *extra, MLFLOW_TRACKING_URI=f"gopher://{USER}:{PASSWORD}@x", expected=2)
    place.command("run", "missing.yaml", *extra, expected=2)
    (place.folder / "wrong.yaml").write_text(PIPELINE + f"password: {PASSWORD}\n")
    place.command("validate", "wrong.yaml", *extra, expected=2)
    (place.folder / "wrong.yaml").unlink()
    assert place.leaks() == []
