"""`everlearn watch` as a process: it runs until SIGTERM ends it.

Covers: `orchestrator/cli/support/duration.py`
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.updates.arrivals import FILE, aged, deliver, pipeline_of, step


def test_it_continues_until_it_is_terminated(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(FILE.format(folder=tmp_path, more=", max_quarantined: 0"))
    deliver(tmp_path, "a", [0, 1])
    step(pipeline_of(tmp_path))
    command = [sys.executable, "-m", "orchestrator.cli.main", "watch", str(tmp_path / "p.yaml"), "--json"]
    watching = subprocess.Popen([*command, "--every", "0.2s"], stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    try:
        (tmp_path / "in/b.npz").write_bytes(b"PK torn")
        aged(tmp_path / "in/b.npz", 500)
        found = json.loads(watching.stdout.readline())
        assert found["outcome"] == "stopped" and found["quarantined"][0]["key"] == "b.npz"
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(60) == 0
        assert watching.stdout.read() == ""
    finally:
        watching.kill()
        watching.wait()


def test_a_pause_is_a_duration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for every, said in (("5", "must be a duration such as 30s"), ("0s", "must be longer than 0")):
        assert invoke(["watch", str(tmp_path / "p.yaml"), "--every", every]) == 2
        assert said in capsys.readouterr().err


def test_an_event_starts_a_step_at_once(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(FILE.format(folder=tmp_path, more=", max_quarantined: 0"))
    pipeline_of(tmp_path)
    command = [sys.executable, "-m", "orchestrator.cli.main", "watch", str(tmp_path / "p.yaml"), "--json"]
    command += ["--every", "1h", "--webhook", "0.0.0.0:0"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None and watching.stderr is not None
    try:
        warned, said = watching.stderr.readline(), watching.stderr.readline()
        assert warned == (
            "warning: no token: every client that reaches 0.0.0.0 can start steps. Set EVERLEARN_WEBHOOK_TOKEN\n"
        )
        assert said.startswith("waiting for events at http://0.0.0.0:"), said
        assert watching.stderr.readline() == "watching, a step every 3600 s and after each event\n"
        (tmp_path / "in/b.npz").write_bytes(b"PK torn")
        aged(tmp_path / "in/b.npz", 500)
        with urlopen(Request(said.split()[-1], b""), timeout=30) as answer:
            assert answer.status == 202
        assert json.loads(watching.stdout.readline())["outcome"] == "stopped"
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(60) == 0
    finally:
        watching.kill()
        watching.wait()
