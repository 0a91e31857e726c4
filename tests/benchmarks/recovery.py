"""What safety costs: the share of checkpoints and commits in a run, and the seconds until a run resumes after a kill.

Split MNIST with two workers. Needs the data (EVERLEARN_DATA, or a network). `python -m tests.benchmarks.recovery`
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import yaml

from orchestrator.checkpointing.snapshot import copied_state
from orchestrator.events import CheckpointWritten, CommitWritten, Event
from orchestrator.lineage.lineage import Lineage
from orchestrator.progress.run_reporter import Reporter
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from pipelines.config.load import load_pipeline
from pipelines.config.schema import Pipeline
from tests.benchmarks.bare import model
from tests.benchmarks.parts_of_a_run import PIPELINE
from tests.benchmarks.steps import METHODS, begun


class Notes(Reporter):
    """Keeps when what happened; kills a worker at the first checkpoint if it is told to."""

    def __init__(self, kill: bool = False) -> None:
        self.events: list[tuple[float, Event]] = []
        self.killed: float | None = None
        self._kill = kill

    def event(self, event: Event) -> None:
        self.events.append((time.monotonic(), event))
        if self._kill and isinstance(event, CheckpointWritten) and self.killed is None:
            workers = [p for p in psutil.Process().children(recursive=True) if _is_worker(p)]
            self.killed = time.monotonic()
            workers[0].kill()

    def first(self, kind: str, after: float = 0.0) -> float:
        """When the first event of a kind came."""
        return next(at for at, event in self.events if event.kind == kind and at > after)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "RayTrainWorker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def pipeline(folder: str, *overrides: str) -> Pipeline:
    place = [f"storage={folder}/store", f"tracking.uri=sqlite:///{folder}/mlflow.db", "scaling.workers=2"]
    return load_pipeline(PIPELINE, [*place, *overrides])


def share() -> dict[str, float]:
    """Seconds of an undisturbed run with the default interval, by what training waits for."""
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        notes = Notes()
        run(pipeline(folder), reporter=notes)
        commits = [(at, event.commit) for at, event in notes.events if isinstance(event, CommitWritten)]
        # Between two commits: the first event of all comes late, when the driver is still busy with the start.
        busy = sum(
            sum(commit["timings"][part] for part in ("learn", "consolidate", "evaluate")) for _, commit in commits[1:]
        )
        whole = commits[-1][0] - commits[0][0]
        writing = sum(event.upload or 0.0 for _, event in notes.events if isinstance(event, CommitWritten))
        return {
            "first commit to last commit": whole,
            "of it neither training nor evaluation": whole - busy,
            "share": 1 - busy / whole,
            "(writing commits in the background)": writing,
            "(checkpoints)": float(sum(isinstance(event, CheckpointWritten) for _, event in notes.events)),
        }


def one_checkpoint() -> dict[str, float]:
    """Seconds that training stands still for a checkpoint: its state is copied, all else is done in the background."""
    learner, steps = begun(METHODS["ewc after 50"], model)
    times = []
    for _ in range(20):
        next(steps)
        start = time.perf_counter()
        copied_state(learner)
        times.append(time.perf_counter() - start)
    steps.close()
    pause = median(times)
    return {"the copy of the state, MLP 784-400-400-10 with ewc": pause, "share": pause / 60}


def after_a_worker() -> dict[str, float]:
    """Seconds from the kill of a worker, by part."""
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        notes = Notes(kill=True)
        run(pipeline(folder, "train.checkpoint_every=50"), reporter=notes)
        assert notes.killed is not None
        resumed = notes.first("resumed", notes.killed)
        stepped = notes.first("step", resumed)
        return {
            "noticed, new workers, state restored": resumed - notes.killed,
            "first steps told": stepped - resumed,
            "all": stepped - notes.killed,
        }


def after_the_driver() -> dict[str, float]:
    """Seconds from starting `everlearn run` again after a SIGKILL of the first, by part."""
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        made = pipeline(folder, "train.checkpoint_every=50")
        file = Path(folder) / "pipeline.yaml"
        file.write_text(yaml.safe_dump(made.to_document()))
        first = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli.main", "run", str(file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        lineage = Lineage(open_store(made.storage), made.name)
        while not list(lineage.commits()):
            time.sleep(0.02)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        notes = Started()
        started = time.monotonic()
        run(made, reporter=notes)
        stepped = notes.first("step")
        return {
            "data, ids, storage, what is there already": notes.started - started,
            "Ray and its workers, state restored": notes.first("experience") - notes.started,
            "first steps told": stepped - notes.first("experience"),
            "all": stepped - started,
        }


class Started(Notes):
    """Notes the start as well."""

    started = 0.0

    def start(self, summary: Any) -> None:
        self.started = time.monotonic()


def main() -> None:
    for title, measure in (
        ("Split MNIST, two workers, default interval", share),
        ("A checkpoint, once a minute as by default", one_checkpoint),
        ("After a killed worker", after_a_worker),
        ("After a killed driver", after_the_driver),
    ):
        print(title)
        for name, value in measure().items():
            unit = "%" if name == "share" else "" if name == "(checkpoints)" else "s"
            print(f"  {name:56} {100 * value if unit == '%' else value:7.2f} {unit}", flush=True)


if __name__ == "__main__":
    main()
