"""A few of the stops of `python -m tests.stops`: one takeover of each kind of writer."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.lineage import claim as claims
from orchestrator.lineage.claim import Claim
from tests.stops import REAL, WRITERS, forgotten, stopped

AT = {"run": 50, "tune": 90, "forget": 15, "gc": 11, "copy": 25}


@pytest.mark.parametrize(
    ("writer", "jump"), [(writer, jump) for writer in WRITERS if writer not in REAL for jump in (1e6, -1e6)]
)
def test_who_is_stopped_and_wakes_writes_nothing(
    writer: str, jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "0.05")
    monkeypatch.setattr(claims, "_machine", lambda: None)
    monkeypatch.setattr(Claim, "_renew", lambda self: None)
    assert stopped(writer, AT[writer], jump, tmp_path, forgotten) == ""


@pytest.mark.parametrize("writer", REAL)
def test_a_real_run_and_a_real_search_that_are_stopped_write_nothing(writer: str) -> None:
    """In a process that has not trained: one that has cannot be forked to train."""
    command = [sys.executable, "-m", "tests.stops", writer, "--at", str(AT[writer])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 stops, wrong: none" in done.stdout
