"""The driver is killed in mid-search, and the same command resumes the search."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import yaml

from orchestrator.lineage.fencing import is_note
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.tuning.trial_record import TrialRecord
from tests.orchestrator.tuning.conftest import document

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TUNE = """
import json, sys
from orchestrator import load_pipeline, tune
print(json.dumps(tune(load_pipeline(sys.argv[1])).to_json()))
"""
TRIALS, LENGTH = 3, 3


def start(file: Path) -> "subprocess.Popen[str]":
    # A session of its own, so that nothing of a killed driver's Ray is left behind.
    return subprocess.Popen(
        [sys.executable, "-c", TUNE, str(file)], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "RAY_worker_niceness": "0"},
    )  # fmt: skip


def records(store: Path) -> dict[str, TrialRecord]:
    """The records of all trials that have ended: one that is being written is none yet."""
    found = {path.name: path.read_bytes() for path in store.glob("small/runs/tune-*/*.json")}
    return {name: TrialRecord.model_validate_json(data) for name, data in found.items() if not is_note(data)}


def test_a_search_whose_driver_was_killed_resumes(tmp_path: Path) -> None:
    section = {"trials": TRIALS, "max_concurrent": 1, "space": {"strategy.ewc.lambda": {"loguniform": [1, 1000]}}}
    file = tmp_path / "small.yaml"
    # Long enough for the second trial to be met in its middle.
    changes = {"stream": {"dataset": "digits", "experiences": LENGTH}, "train": {"steps": 200, "batch_size": 32}}
    file.write_text(yaml.safe_dump(document(tmp_path, section, **changes)))
    store = tmp_path / "store"
    driver = start(file)
    try:
        give_up = time.monotonic() + 180
        while not records(store) and time.monotonic() < give_up and driver.poll() is None:
            time.sleep(0.05)
        assert records(store), "no trial ended"
    finally:
        everyone = psutil.Process(driver.pid).children(recursive=True)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    # The trial may outlive its driver for a moment, and write one more commit.
    _, alive = psutil.wait_procs(everyone, timeout=120)
    assert not alive
    before = records(store)
    assert len(before) < TRIALS

    again = datetime.now(UTC)
    driver = start(file)
    output, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0
    result = yaml.safe_load(output)
    assert [trial["state"] for trial in result["trials"]] == ["done"] * TRIALS
    # Exactly what was missing was trained.
    lineage = Lineage(FolderStore(store), "small")
    made = {commit: lineage.read(commit).created for trial in result["trials"] for commit in trial["lineage"][0]}
    assert len(made) == 1 + (LENGTH - 1) * TRIALS
    fresh = sum(datetime.fromisoformat(created) >= again for created in made.values())
    assert (result["trained"], result["reused"]) == (fresh, LENGTH * TRIALS - fresh)
    assert fresh < len(made) - len(before)
    assert len(set(lineage.commits())) == len(made) + LENGTH
    # Trials that had ended were left as they were.
    assert {name: record for name, record in records(store).items() if name in before} == before
