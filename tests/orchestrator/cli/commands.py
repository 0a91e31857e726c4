"""Running the real command in a process of its own, as a person or a script does."""

import os
import subprocess
import sys
from pathlib import Path


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
