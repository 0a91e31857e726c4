"""What a step and an experience cost in streams of 5, 20 and 50 experiences: CPU time, by part.

Permuted digits, 23 steps of 64 samples an experience; the last experiences of each stream are measured, one process,
one thread. All test sets are evaluated after each experience: that part is given for one test set.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass

import torch

from orchestrator.events import CommitWritten, Event, ExperienceStarted, StageStarted
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group

LENGTHS = (5, 20, 50)
METHODS = {
    "naive": "naive",
    "ewc": "{name: ewc, lambda: 10, samples: 200}",
    "replay": "{name: replay, capacity: 500, ratio: 0.5}",
    "agem": "{name: agem, capacity: 500}",
}
LAST = 4
TEXT = """
name: growth
stream: {{dataset: digits, setting: domain-incremental, transform: permute, experiences: {length}}}
model: {{name: mlp, hidden: [200, 200]}}
strategy: [{strategy}]
train: {{epochs: 1, batch_size: 64, checkpoint_every: 0}}
storage: {folder}
"""


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of the last experiences of a stream, medians.

    Attributes:
        step: of training. test: evaluation of one test set. rest: of an experience, such as the Fisher information and
            the copy of the state. commit: written in another thread.
    """

    step: float
    test: float
    rest: float
    commit: float


def measure(strategy: str, length: int) -> Cost:
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        pipeline = load_text(TEXT.format(length=length, strategy=strategy, folder=folder))
        stream = build_stream(pipeline.stream, pipeline.seed)
        marks: list[tuple[str, int, float]] = []

        def on_event(event: Event) -> None:
            now = time.thread_time()  # commits are written in a thread of their own
            if isinstance(event, StageStarted):
                marks.append((event.stage, event.index, now))
            elif isinstance(event, ExperienceStarted):
                marks.append((f"steps {event.steps}", event.index, now))
            elif isinstance(event, CommitWritten):
                marks.append(("written", event.commit["experience"]["index"], now))

        RankTraining(
            pipeline=pipeline,
            stream=stream,
            plan=make_plan(pipeline, stream),
            lineage=Lineage(open_store(pipeline.storage), pipeline.name),
            group=Group(),
            device=torch.device("cpu"),
            on_event=on_event,
        ).run()
    costs = []
    for index in range(length - LAST, length):
        at = {name.split()[0]: now for name, place, now in marks if place == index}
        steps = next(int(name.split()[1]) for name, place, _ in marks if place == index and name.startswith("steps"))
        before = max(now for name, place, now in marks if place == index - 1 and name == "committing")
        training, evaluating = at["consolidating"] - at["steps"], at["committing"] - at["evaluating"]
        whole = at["committing"] - before
        written = at["written"] - next(now for name, place, now in marks if (name, place) == ("written", index - 1))
        costs.append((training / (steps - 1), evaluating / length, whole - training - evaluating, written))
    return Cost(*(1000 * statistics.median(part) for part in zip(*costs, strict=True)))


def main() -> None:
    print(
        "Growth: CPU milliseconds of the last experiences of a stream of so many (permuted digits, MLP 64-200-200-10)"
    )
    for name, strategy in METHODS.items():
        measure(strategy, LENGTHS[0])  # does not count: it loads what is needed
        found = [measure(strategy, length) for length in LENGTHS]
        for length, cost in zip(LENGTHS, found, strict=True):
            print(
                f"  {name:8} {length:3}: step {cost.step:5.2f}   a test set {cost.test:5.2f}   "
                f"rest of an experience {cost.rest:5.1f}   commit {cost.commit:5.1f}",
                flush=True,
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
