"""Jobs on a real Ray cluster that needs a token. One that is followed to its end is part of `tests/e2e/cluster.sh`."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from orchestrator.errors import ClusterError
from orchestrator.jobs.client import Job, Jobs, _cause, exit_status
from tests.orchestrator.cli.commands import everlearn

TOKEN = "3f0c9a4be1d24d0f8a7e65c1b2d3f4a5" * 2
CLEAN = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
DIGITS = Path(__file__).parents[3] / "pipelines" / "examples" / "split-digits.yaml"


@dataclass
class Head:
    address: str
    folder: Path

    def command(
        self, *arguments: str, token: str | None = TOKEN, path: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        # A token may lie in the home of whoever runs the tests.
        environment = {"RAY_API_SERVER_ADDRESS": self.address, "RAY_AUTH_MODE": "token", "HOME": str(self.folder)}
        environment["NOWHERE"] = "/proc/nowhere"
        if token is not None:
            environment["RAY_AUTH_TOKEN"] = token
        if path is not None:
            environment["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}"
        return everlearn(*arguments, environment=environment, cwd=self.folder)

    def submit(self, *arguments: str, epochs: int = 1, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        own = [f"storage={self.folder}/store", "tracking.uri=http://127.0.0.1:9"]
        own += [f"train.epochs={epochs}", f"name=digits-{epochs}", "stream.experiences=2"]
        return self.command(
            "submit", str(DIGITS), *(part for item in own for part in ("--set", item)), *arguments, path=path
        )


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    # Ray's sockets lie in its folder, and their paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="ev", dir="/tmp"))
    names = ("port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port", "metrics-export-port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if name not in CLEAN}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    command = [str(programs / "ray"), "start", "--head", "--block", "--num-cpus=4", "--node-ip-address=127.0.0.1"]
    command += [f"--temp-dir={folder}/ray", "--object-store-memory=100000000", "--dashboard-host=127.0.0.1"]
    command += [f"--{name}={port}" for name, port in ports.items()]
    with (folder / "ray.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    started = psutil.Process(process.pid)
    try:
        for _ in range(240):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", ports["dashboard-port"])) == 0:
                    break
            assert process.poll() is None, (folder / "ray.log").read_text()
            time.sleep(0.25)
        yield Head(f"http://127.0.0.1:{ports['dashboard-port']}", folder)
    finally:
        everyone = [*started.children(recursive=True), started] if started.is_running() else []
        for one in everyone:
            if one.is_running():
                one.kill()
        psutil.wait_procs(everyone, timeout=20)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_is_stopped_and_a_failure_has_a_cause(head: Head) -> None:
    made = json.loads(head.submit("--json", epochs=100000).stdout)
    stopped = json.loads(head.command("stop", made["job"], "--json").stdout)
    assert (made["kind"], made["pipeline"], stopped["status"]) == ("run", "digits-100000", "STOPPED")
    failed = head.submit("--set", "storage=${NOWHERE}", "--env", "NOWHERE", "--follow", epochs=2)
    assert failed.returncode == 3, failed.stdout + failed.stderr
    assert "failed: everlearn: " in failed.stdout.splitlines()[-1] and "/proc" in failed.stdout.splitlines()[-1]
    unknown = head.command("logs", "nobody")
    assert unknown.returncode == 3 and "has no job nobody" in unknown.stderr


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_whose_python_has_no_everlearn(head: Head) -> None:
    """The job's `python` is one that sees no installed packages."""
    programs = head.folder / "bare"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    (programs / "python").chmod(0o755)
    done = head.submit("--env", "PATH", path=programs)
    assert done.returncode == 1, done.stdout + done.stderr
    told = " ".join(done.stderr.split())
    assert "the job failed: the `python` of the cluster has no Everlearn: install it on every node" in told


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(("token", "words"), [(None, "needs a token"), ("0" * 64, "refuses the token")])
def test_a_missing_or_wrong_token_is_said_with_the_remedy(head: Head, token: str | None, words: str) -> None:
    done = head.command("status", token=token)
    assert done.returncode == 3 and done.stdout == ""
    assert words in done.stderr and "RAY_AUTH_TOKEN_PATH" in done.stderr and len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "--address"),
        ("ray://head:10001", "not an address for jobs"),
        ("http://head:port", "not an address for jobs"),
        (f"http://127.0.0.1:{free_ports(1)[0]}", "cannot be reached"),
        ("http://nowhere.invalid:8265", "cannot be reached"),
    ],
    ids=["none", "of Ray Client", "no number", "nobody", "no such host"],
)
def test_an_address_at_which_nobody_listens(address: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    with pytest.raises(ClusterError, match=words):
        Jobs(address)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("failed with exit code 3, last logs:\nwork\neverlearn: no bucket\nCheck it\n", "everlearn: no bucket"),
        ("\x1b[31mValueError: x\x1b[0m\n\n", "ValueError: x"),
        ("password=hunter2hunter2", "password=***"),
        (None, "unknown"),
    ],
)
def test_the_cause_is_one_line_without_secrets(message: str | None, cause: str) -> None:
    assert _cause(message) == cause


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", None, 1), ("FAILED", -9, 1), ("STOPPED", None, 143)],
)
def test_a_followed_job_gives_its_exit_status(status: str, code: int | None, expected: int) -> None:
    assert exit_status(Job("j", "p", "run", status, None, None, None, code)) == expected


@pytest.mark.parametrize(
    "line",
    [
        "/usr/bin/python: Error while finding module specification for 'orchestrator.cli.main' "
        "(ModuleNotFoundError: No module named 'orchestrator')",
        "ModuleNotFoundError: No module named 'pipelines.config'",
        "/bin/sh: 1: python: not found",
    ],
)
def test_a_cluster_without_everlearn_is_said_with_the_remedy(line: str) -> None:
    cause = _cause(f"Job failed due to an application error, last available logs:\n{line}\n")
    assert cause.startswith("the `python` of the cluster has no Everlearn: install it on every node")
    assert len(cause) < 300
    assert "Everlearn" not in _cause("ModuleNotFoundError: No module named 'mine'")
