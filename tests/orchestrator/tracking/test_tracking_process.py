"""The process that writes to MLflow while the command trains: what it writes, and its end, whichever process is killed.

The commands run as at a terminal: in processes of their own, which have no other threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.tracking.stores import parents, points

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: a thread writes to MLflow")

PIPELINE = """
name: small
stream: {dataset: digits, experiences: 3}
model: {name: mlp, hidden: [8]}
strategy: naive
"""
# Not to be loaded where the model trains.
HEAVY = (
    "mlflow",
    "matplotlib",
    "sympy",
    "torch._dynamo",
    "ray",
    "sklearn.svm",
    "pandas",
    "orchestrator.tracking.run_view",
)
COMMAND = """
import os, signal, sys
from orchestrator.cli import main
from orchestrator.training import observers

class Killing(observers.Observers):
    def _commit(self, event):
        super()._commit(event)
        if {kills!r} and event.commit["experience"]["index"] == 0:
            helper = self.tracker._process.pid
            print(helper, file=sys.stderr, flush=True)
            os.kill(helper if {kills!r} == "helper" else os.getpid(), signal.SIGKILL)

observers.Observers = Killing
status = main.invoke(["run", "small.yaml"], own_process=True)
print([name for name in {heavy!r} if name in sys.modules], status)
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)


def run(kills: str | None = None) -> subprocess.CompletedProcess[str]:
    code = COMMAND.format(kills=kills, heavy=HEAVY)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)


def ended(pid: int) -> bool:
    """Whether a process has ended, given some time."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_it_writes_what_publish_writes_and_the_command_loads_nothing_for_it(tmp_path: Path) -> None:
    done = run()
    assert done.stdout.splitlines()[-1] == "[] 0", done.stderr
    assert invoke(["publish", "small.yaml", "--set", "tracking.uri=sqlite:///other.db"]) == 0
    here = tmp_path / ".everlearn"
    assert points(here / "mlflow.db") == points(tmp_path / "other.db")
    assert [status for _, status, *_ in parents(here / "mlflow.db")] == ["FINISHED"]
    assert len([*here.rglob("figures/*.png")]) == 4 and len([*here.rglob("model.pt2")]) == 1


def test_it_ends_with_a_command_that_is_killed_and_the_next_run_completes_what_it_left(tmp_path: Path) -> None:
    killed = run("command")
    assert killed.returncode == -signal.SIGKILL
    assert ended(int(killed.stderr.splitlines()[-1]))
    assert invoke(["run", "small.yaml"]) == 0
    assert [status for _, status, *_ in parents(tmp_path / ".everlearn" / "mlflow.db")] == ["FINISHED"]


def test_a_run_without_it_continues_and_says_what_is_missing(tmp_path: Path) -> None:
    done = run("helper")
    assert done.stdout.splitlines()[-1].endswith("] 0"), done.stderr
    assert "3 experiences" in done.stdout
    assert "the process that writes to MLflow" in " ".join(done.stdout.split())
    assert "everlearn publish FILE" in " ".join(done.stdout.split())
