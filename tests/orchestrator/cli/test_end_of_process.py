"""A command that has done its work leaves: nothing that somebody's code or a library left behind holds its process."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from tests.orchestrator.cli.commands import everlearn

LINGERING = """\
import atexit, threading, torch

# The end of Python waits for both: for ever.
threading.Thread(target=threading.Event().wait).start()
atexit.register(threading.Event().wait)

def Net(shape, outputs):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, outputs))
"""
PIPELINE = """\
name: lingering
stream: {{dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}}
model: {{name: "lingering_model:Net"}}
train: {{steps: 2, batch_size: 16}}
storage: {folder}/store
tracking: {{uri: "sqlite:///{folder}/mlflow.db"}}
"""


def test_a_run_ends_after_done_though_a_thread_and_an_exit_handler_wait_for_ever(tmp_path: Path) -> None:
    (tmp_path / "lingering_model.py").write_text(LINGERING)
    (tmp_path / "file.yaml").write_text(PIPELINE.format(folder=tmp_path))
    done = everlearn("run", "file.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    # All is written by then: what was printed, the lineage, and MLflow's run.
    assert "\ndone     trained 2 experiences" in done.stdout
    assert done.stdout.splitlines()[-1] == "MLflow   everlearn ui file.yaml"
    lineage = Lineage(open_store(str(tmp_path / "store")), "lingering")
    latest = lineage.ref("latest")
    assert latest is not None and len(lineage.chain(latest.commit)) == 2
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        states = database.execute("SELECT status FROM runs").fetchall()
    assert states and {state for (state,) in states} == {"FINISHED"}
