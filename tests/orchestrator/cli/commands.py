"""Running the real command in a process of its own, as a person or a script does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import invoke


def everlearn(
    *arguments: str, cwd: Path | None = None, timeout: float = 240, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One `everlearn` command; its exit status, stdout and stderr."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.main", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def python(code: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python code in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)


def documented(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> Any:
    """What a command prints with `--json`, in this process, after it gave this exit status."""
    assert invoke([*arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)
