"""A pipeline on a real cluster that loses a node in mid-run: `cluster.sh`, which a person can run and watch too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.s3.server import S3Server

SCRIPT = Path(__file__).parent / "cluster.sh"


@pytest.mark.ray
@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pipeline_outlives_a_node_of_its_cluster(s3_server: S3Server) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "EVERLEARN_E2E_S3": "this"}
    done = subprocess.run([SCRIPT], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert "kill -9" in done.stdout and "resuming experience 1" in done.stdout and "failed: " in done.stdout
    assert re.search(r"restart: (a worker was lost|worker \d failed|the controller)", done.stdout)
    (folder,) = set(re.findall(r"/tmp/ev\w{6}(?=:)", done.stdout))
    assert not Path(folder).exists()
    left = [
        process for process in psutil.process_iter(["cmdline"]) if folder in " ".join(process.info["cmdline"] or ())
    ]
    assert not left, left
