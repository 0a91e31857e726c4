"""A real S3 server for the tests marked `s3`: one for the whole test session, on loopback, removed at its end."""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.required import missing

HERE = Path(__file__).parent


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        folder: its data, logs and process ids.
        port: on loopback.
        environment: the AWS_* variables that lead to it.
    """

    folder: Path
    port: int
    environment: dict[str, str]

    def wipe(self) -> None:
        """End it and remove its data."""
        subprocess.run([HERE / "stop.sh", "--wipe", self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def crash(self) -> None:
        """SIGKILL everything. For half a minute after the next start, making and deleting buckets is slow."""
        subprocess.run([HERE / "stop.sh", "--kill", self.folder], check=True)

    def start(self) -> None:
        """Start what does not run."""
        subprocess.run([HERE / "start.sh", self.folder, str(self.port)], check=True, capture_output=True)


def launch() -> S3Server:
    """A new server of its own. Skips the test if the packages cannot be fetched; in CI, fails it.

    Raises:
        RuntimeError: it does not start.
    """
    fetched = subprocess.run([HERE / "fetch.sh"], capture_output=True, text=True, check=False)
    if fetched.returncode:
        missing(f"no S3 server: {fetched.stderr.strip()[-500:]}")
    folder = Path(tempfile.mkdtemp(prefix="everlearn-s3-"))
    port = _free_ports()
    running = S3Server(folder, port, {})
    # Also when the tests are interrupted.
    atexit.register(running.wipe)
    started = subprocess.run([HERE / "start.sh", folder, str(port)], capture_output=True, text=True, check=False)
    if started.returncode:
        raise RuntimeError(started.stderr)
    running.environment.update(line.split("=", 1) for line in started.stdout.splitlines())
    return running


@cache
def server() -> S3Server:
    """The session's server, started when it is first asked for. Skips, fails and raises as `launch`."""
    return launch()


def _free_ports() -> int:
    """The first of ten neighbouring ports of which the server needs three."""
    for start in range(20_000 + os.getpid() % 500 * 20, 32_000, 10):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", start))
                second.bind(("127.0.0.1", start + 1))
            except OSError:
                continue
            return start
    raise RuntimeError("no free ports")


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The session's server; AWS_* of this process lead to it, and to nothing else, for the time of the test."""
    running = server()
    use(running.environment, monkeypatch)
    return running


@pytest.fixture
def s3_uri(s3_server: S3Server) -> Iterator[str]:
    """s3:// URI of an empty bucket of this test's own."""
    import boto3

    bucket = boto3.resource("s3", endpoint_url=s3_server.environment["AWS_ENDPOINT_URL"]).Bucket(
        f"test-{uuid.uuid4().hex[:16]}"
    )
    # Credentials are looked up at the first call: from here on the test may change them.
    bucket.create()
    yield f"s3://{bucket.name}"
    # The bucket ends with the server: to delete one takes half a minute after a crash.
    bucket.objects.all().delete()


@pytest.fixture
def s3_server_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server that the test may kill; AWS_* as with `s3_server`."""
    running = launch()
    use(running.environment, monkeypatch)
    yield running
    running.wipe()


def use(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let AWS_* be `environment`, whatever the person who runs the tests has configured."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    for name, value in {**nothing, "AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
        monkeypatch.setenv(name, value)
