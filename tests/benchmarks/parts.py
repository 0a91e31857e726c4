"""Where the seconds of `everlearn run` go, after its first imports: 5 experiences of MNIST, one epoch, by part.

Needs the data (EVERLEARN_DATA, or a network). `python -m tests.benchmarks.parts`
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from orchestrator.events import CommitWritten, Event
from orchestrator.progress.run_reporter import Reporter, Summary
from orchestrator.result import RunResult
from orchestrator.training.driver import run
from pipelines.config.load import load_pipeline

PIPELINE = Path(__file__).parents[2] / "pipelines" / "examples" / "split-mnist.yaml"


class Clock(Reporter):
    """Notes when the parts of a run begin."""

    def __init__(self) -> None:
        self.marks = {"run": time.monotonic()}
        self.timings: dict[str, float] = {}

    def start(self, summary: Summary) -> None:
        self.marks["start"] = time.monotonic()

    def event(self, event: Event) -> None:
        if isinstance(event, CommitWritten):
            self.marks["last commit"] = time.monotonic()
            for part, seconds in event.commit["timings"].items():
                self.timings[part] = self.timings.get(part, 0.0) + seconds
            self.timings["upload"] = self.timings.get("upload", 0.0) + (event.upload or 0.0)

    def finish(self, result: RunResult) -> None:
        self.marks["finish"] = time.monotonic()


def measure() -> dict[str, float]:
    """Seconds by part."""
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        overrides = [f"storage={folder}/store", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        pipeline = load_pipeline(PIPELINE, overrides)
        clock = Clock()
        run(pipeline, reporter=clock)
        at, work = clock.marks, clock.timings
        busy = work["learn"] + work["consolidate"] + work["evaluate"]
        return {
            "data, ids, storage check": at["start"] - at["run"],
            "MLflow's start and imports beside training, waiting": at["last commit"] - at["start"] - busy,
            "training": work["learn"],
            "Fisher and memory": work["consolidate"],
            "evaluation": work["evaluate"],
            "(writing commits, while the next experience trains)": work["upload"],
            "rest of MLflow: figures, exported model": at["finish"] - at["last commit"],
            "all": at["finish"] - at["run"],
        }


if __name__ == "__main__":
    for name, seconds in measure().items():
        print(f"{name:56} {seconds:6.2f} s")
