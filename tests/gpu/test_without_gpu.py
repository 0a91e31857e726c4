"""`python -m tests.gpu` where there is no GPU, and its measurements tried on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import __main__ as command
from tests.gpu import gpu_tests
from tests.gpu.gpu_parts import PARTS, Part, SkippedPart, run_part
from tests.gpu.gpu_report import table

ROOT = Path(__file__).parents[2]


def test_without_a_gpu_it_says_so_and_ends_with_0(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Nothing was run: ") and not out.exists()


@pytest.mark.parametrize("name", ["steps", "optimizers", "evaluation", "fisher"])
def test_the_measurements_run(name: str) -> None:
    found = run_part(name, "cpu")
    assert (found["state"], found["why"]) == ("done", "")
    assert found["rows"] and all(len(row) > 1 for row in found["rows"])
    assert table(name, {**found, "seconds": 1.0}).count("\n") == len(found["rows"]) + 2


def test_a_row_that_fails_loses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> dict[str, Any]:
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(PARTS, "steps", Part(1, lambda device: iter([("a", fails), ("b", lambda: {"ms": 1.0})])))
    saved: list[int] = []
    found = run_part("steps", "cpu", lambda so_far: saved.append(len(so_far["rows"])))
    assert found["state"] == "failed" and "no such kernel" in found["why"] and saved == [1, 2]
    assert [set(row) for row in found["rows"]] == [{"", "failed"}, {"", "ms"}]


def test_a_part_that_is_not_for_this_machine_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def skips() -> dict[str, Any]:
        raise SkippedPart("no Ray here")

    monkeypatch.setitem(PARTS, "steps", Part(1, lambda device: iter([("a", skips)])))
    assert run_part("steps", "cpu") == {"state": "skipped", "rows": [], "why": "no Ray here"}


def test_parts_run_in_processes_of_their_own_and_the_json_has_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PARTS, "feeds", Part(0, PARTS["feeds"].measures))  # no time for this one
    out = tmp_path / "gpu.json"
    assert command.main(["--on-cpu", "--out", str(out), "--only", "optimizers", "feeds"]) == 1
    report = json.loads(out.read_text())
    assert {name: part["state"] for name, part in report["parts"].items()} == {"optimizers": "done", "feeds": "failed"}
    assert report["versions"]["torch"] and report["parts"]["optimizers"]["rows"]
    printed = capsys.readouterr().out
    assert "optimizers: done" in printed and "the time for all parts is over" in printed and "1 failed" in printed


def test_the_tests_that_need_a_gpu_are_found() -> None:
    found = gpu_tests.marked_files()
    assert "tests/orchestrator/training/test_gpu.py" in found
    assert "tests/gpu/test_learning_on_gpu.py" in found and "tests/strategies/test_channels_last.py" in found
