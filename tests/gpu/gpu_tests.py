"""The tests marked `gpu`, which are skipped where there is no GPU."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.gpu.gpu_versions import lacking

ROOT = Path(__file__).parents[2]
MARK = "pytest.mark.gpu"


class FailedTests(Exception):
    """Tests that failed, with the end of what pytest said."""


def marked_files() -> list[str]:
    """The test files with a test that needs a GPU."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file.relative_to(ROOT)) for file in files if MARK in file.read_text(encoding="utf-8")]


def run_gpu_tests(ray: bool) -> tuple[str, dict[str, Any]]:
    """Why these tests cannot run (empty: they did), and the number of tests by outcome.

    Args:
        ray: those that start Ray, or the others.

    Raises:
        FailedTests: some failed.
    """
    needed = ["pytest", "pytest_timeout", *(["ray", "mlflow"] if ray else [])]
    if lacking(*needed):
        return f"not installed here: {', '.join(lacking(*needed))}", {}
    files = [file for file in marked_files() if ray or not _names_the_orchestrator(file)]
    with tempfile.TemporaryDirectory(prefix="everlearn-gpu-") as folder:
        results = Path(folder) / "results.xml"
        chosen = "gpu and ray" if ray else "gpu and not ray"
        command = [sys.executable, "-m", "pytest", "-m", chosen, f"--junitxml={results}", "-p", "no:cacheprovider"]
        if not ray and not lacking("xdist"):
            command += ["-n", "4"]  # tiny models: four processes share the GPU
        done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
        cases = ElementTree.parse(results).getroot().iter("testcase") if results.exists() else ()
        counts = Counter(_outcome(case) for case in cases)
    if done.returncode != 0:
        raise FailedTests(f"{dict(counts)}\n{done.stdout[-3000:]}\n{done.stderr[-500:]}")
    return "", dict(counts)


def _names_the_orchestrator(file: str) -> bool:
    """Whether a test file needs what only the orchestrator's dependencies give; it then has no test without Ray."""
    return file.startswith("tests/orchestrator/")


def _outcome(case: ElementTree.Element) -> str:
    return next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
