"""`python -m tests.gpu [--out FILE] [--only PART ...]`: one table, and one JSON file, of what a GPU gives.

Each part runs in a process of its own, so that one that fails or hangs loses no other. `--on-cpu` tries the
measurements where there is no GPU, with few rounds: their numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.gpu.gpu_parts import PARTS, run_part
from tests.gpu.gpu_report import table
from tests.gpu.gpu_versions import no_gpu, versions

WHOLE = 440.0
"""Seconds for all parts together."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="where the JSON goes (gpu.json)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="run these parts only")
    parser.add_argument("--on-cpu", action="store_true", help="try the measurements without a GPU")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.part is not None:
        # After each row: a part that is stopped keeps those that it has.
        run_part(given.part, "cpu" if given.on_cpu else "cuda", lambda found: given.out.write_text(json.dumps(found)))
        return 0
    missing = no_gpu()
    if missing and not given.on_cpu:
        print(f"Nothing was run: {missing}")
        return 0
    return _run(given.only, given.out, given.on_cpu)


def _run(names: list[str], out: Path, on_cpu: bool) -> int:
    report: dict[str, Any] = {"versions": versions(), "parts": {}}
    for name, value in report["versions"].items():
        print(f"{name:12} {value}", flush=True)
    begun = time.monotonic()
    for name in names:
        left = min(PARTS[name].seconds, WHOLE - (time.monotonic() - begun))
        report["parts"][name] = _in_a_process(name, on_cpu, left)
        print(table(name, report["parts"][name]), flush=True)
        out.write_text(json.dumps(report, indent=1))  # after each part: a machine may be taken away
    states = [part["state"] for part in report["parts"].values()]
    print(f"\n{len(states)} parts in {time.monotonic() - begun:.0f} s, {states.count('failed')} failed. JSON: {out}")
    return 1 if "failed" in states else 0


def _in_a_process(name: str, on_cpu: bool, seconds: float) -> dict[str, Any]:
    """What a part found: its `state` (done, skipped or failed), `rows`, `seconds`, and `why` it was not done."""
    if seconds <= 5:
        return {"state": "failed", "rows": [], "seconds": 0.0, "why": "the time for all parts is over"}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="everlearn-gpu-") as folder:
        file = Path(folder) / "part.json"
        command = [sys.executable, "-m", "tests.gpu", "--part", name, "--out", str(file)]
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "4")}
        try:
            done = subprocess.run(
                [*command, "--on-cpu"] if on_cpu else command,
                capture_output=True,
                text=True,
                timeout=seconds,
                env=environment,
                check=False,
            )
            why = "" if done.returncode == 0 else f"exit status {done.returncode}: {done.stderr[-1500:]}"
        except subprocess.TimeoutExpired:
            why = f"not done after {seconds:.0f} s"
        found = json.loads(file.read_text()) if file.exists() else {"state": "failed", "rows": [], "why": why}
    if why and found["state"] == "done":
        found |= {"state": "failed", "why": why}
    return {**found, "seconds": round(time.monotonic() - begun, 1)}


if __name__ == "__main__":
    sys.exit(main())
