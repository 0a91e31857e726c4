"""What a search saves: 16 trials of 5 experiences against 16 separate runs of the same loop, one after another.

`python -m tests.benchmarks.search`
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import ray
import torch
import yaml

from orchestrator import tune
from orchestrator.cluster.connect import cluster
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.load import load_text, with_settings
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream, build_stream
from pipelines.data.validation_split import hold_out
from strategies.loop.process_group import Group

DOCUMENT: Mapping[str, Any] = {
    "name": "search",
    "stream": {"dataset": "digits", "setting": "task-incremental", "experiences": 5},
    "model": {"name": "mlp", "hidden": [400, 400]},
    "strategy": [{"name": "ewc", "lambda": 10}, {"name": "replay", "capacity": 200, "ratio": 0.5}],
    "train": {"steps": 300, "batch_size": 32},
    "tracking": {"uri": "http://127.0.0.1:9"},  # nobody listens: tracking is not what is measured
    "tune": {
        "trials": 16,
        "space": {"strategy.ewc.lambda": {"loguniform": [1, 100000]}, "strategy.replay.ratio": {"uniform": [0.1, 0.9]}},
    },
}


@dataclass(frozen=True)
class Search:
    """How a search compares.

    Attributes:
        trained, reused: experiences of the trials.
        ratio: wall time of the search, Ray's start excluded, to that of the separate runs.
        overhead: seconds of a trial that are not its learning loop; the median of those that waited for no other.
    """

    trained: int
    reused: int
    ratio: float
    overhead: float


def _nothing() -> None:
    """A task that starts a first worker."""


def measure() -> Search:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        pipeline = load_text(yaml.safe_dump({**DOCUMENT, "storage": f"{folder}/search"}))
        with cluster(None, pipeline.scaling):
            ray.get(ray.remote(_nothing).remote())
            started = time.monotonic()
            result = tune(pipeline)
            together = time.monotonic() - started
        assert len(result.trials) == 16
        assert all(trial.state == "done" for trial in result.trials)
        learner = learner_seconds(pipeline)
        assert pipeline.tune is not None
        stream = hold_out(build_stream(pipeline.stream, pipeline.seed), pipeline.tune.validation, pipeline.seed)
        started = time.monotonic()
        for number, trial in enumerate(result.trials):
            alone(with_settings(pipeline, {**trial.settings, "storage": f"{folder}/alone-{number}"}), stream)
        apart = time.monotonic() - started
        overheads = [overhead(trial, learner) for trial in result.trials if trial.reused]
        return Search(result.trained, result.reused, together / apart, median(overheads))


def alone(pipeline: Pipeline, stream: Stream) -> None:
    """One run in this process."""
    RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=make_plan(pipeline, stream),
        lineage=Lineage(open_store(pipeline.storage), pipeline.name),
        group=Group(0, 1),
        device=torch.device("cpu"),
        on_event=lambda event: None,
    ).run()


def learner_seconds(pipeline: Pipeline) -> dict[str, float]:
    """Seconds in the learning loop, by commit."""
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    parts = ("learn", "consolidate", "evaluate")
    return {id_: sum(lineage.read(id_).timings[part] for part in parts) for id_ in lineage.commits()}


def overhead(trial: TrialRecord, learner: Mapping[str, float]) -> float:
    """Seconds of a trial that are not its learning loop."""
    assert trial.seconds is not None
    (lineage,) = trial.lineage
    return trial.seconds - sum(learner[id_] for id_ in lineage[trial.reused :])


def main() -> None:
    found = measure()
    print("A search of 16 trials of 5 experiences over lambda and replay ratio")
    print(f"  {'experiences trained / reused':56} {found.trained:4} / {found.reused}")
    print(f"  {'its time to that of 16 separate runs, one after another':56} {found.ratio:7.2f}")
    print(f"  {'overhead of a trial':56} {found.overhead:7.2f} s")


if __name__ == "__main__":
    main()
