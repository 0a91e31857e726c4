"""Where the seconds of `everlearn run` go, by part: wall time, and CPU time of all threads.

Split MNIST needs the data (EVERLEARN_DATA, or a network). `python -m tests.benchmarks.parts_of_a_run [FILE
KEY=VALUE...]` runs in a process of its own, which counts the start of Python and all imports.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import psutil

from orchestrator.events import CommitWritten, Event
from orchestrator.progress.run_reporter import Reporter, Summary
from orchestrator.result import RunResult
from orchestrator.tracking.tracking_process import TrackingProcess
from orchestrator.training.driver import run
from pipelines.config.load import load_pipeline

PIPELINE = Path(__file__).parents[2] / "pipelines" / "examples" / "split-mnist.yaml"
Seconds = tuple[float, float | None]
"""Wall time, and CPU time where it is known."""


class Clock(Reporter):
    """Notes when the parts of a run begin, in seconds since the process began."""

    def __init__(self) -> None:
        self._began = psutil.Process().create_time()
        self.marks: dict[str, tuple[float, float]] = {}
        self.timings: dict[str, float] = {}

    def mark(self, name: str) -> None:
        self.marks[name] = time.time() - self._began, time.process_time()

    def start(self, summary: Summary) -> None:
        self.mark("start")

    def event(self, event: Event) -> None:
        if isinstance(event, CommitWritten):
            self.mark("last commit")
            for part, seconds in event.commit["timings"].items():
                self.timings[part] = self.timings.get(part, 0.0) + seconds
            self.timings["upload"] = self.timings.get("upload", 0.0) + (event.upload or 0.0)

    def finish(self, result: RunResult) -> None:
        self.mark("finish")

    def between(self, first: str, last: str) -> Seconds:
        (wall, cpu), (later, more) = self.marks[first], self.marks[last]
        return later - wall, more - cpu


def measure(file: Path = PIPELINE, overrides: list[str] | None = None) -> dict[str, Seconds]:
    """Seconds by part. Indented parts are of the one above them."""
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        clock = Clock()
        places = [f"storage={folder}/store", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        pipeline = load_pipeline(file, [*places, *(overrides or [])])
        process = TrackingProcess.fork()
        clock.mark("run")
        run(pipeline, reporter=clock, tracking=process)
        if process is not None:
            process.end()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        work = clock.timings
        busy = work["learn"] + work["consolidate"] + work["evaluate"]
        learning = clock.between("start", "last commit")
        return {
            "start of Python, first imports, pipeline file": clock.marks["run"],
            "data, ids, storage check": clock.between("run", "start"),
            "all experiences; MLflow in another process": learning,
            "  training": (work["learn"], None),
            "  Fisher and memory": (work["consolidate"], None),
            "  evaluation": (work["evaluate"], None),
            "  the model, its first evaluation, the last commit": (learning[0] - busy, None),
            "  (writing commits, while the next experience trains)": (work["upload"], None),
            "waiting for the last of MLflow: figures, exported model": clock.between("last commit", "finish"),
            "all": clock.marks["finish"],
            "the process that writes to MLflow": (0.0, children.ru_utime + children.ru_stime),
        }


def lines(found: dict[str, Seconds]) -> list[str]:
    """The parts, one a line."""
    return [
        f"{name:56} {wall:6.2f} s" + ("" if cpu is None else f"   CPU {cpu:6.2f} s")
        for name, (wall, cpu) in found.items()
    ]


if __name__ == "__main__":
    print("\n".join(lines(measure(Path(sys.argv[1]) if len(sys.argv) > 1 else PIPELINE, sys.argv[2:]))))
