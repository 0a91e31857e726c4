"""Tiny streams in the three settings: noisy images around one random image for each class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

SETTINGS = ("class-incremental", "task-incremental", "domain-incremental")
SHAPE = (1, 6, 6)
PIXELS = 36


@dataclass(frozen=True)
class Rows:
    """The least that `strategies.api.data.Samples` asks for."""

    inputs: Tensor
    targets: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        return map(self.take, indices)


@dataclass(frozen=True)
class Step:
    """The least that `strategies.api.data.Experience` asks for."""

    index: int
    train: Rows
    test: Rows
    classes: tuple[int, ...]
    outputs: tuple[int, ...] | None = None

    @property
    def task(self) -> int:
        return self.index


def images(classes: Tensor, seed: int, *, noise: float = 70.0) -> Tensor:
    """(n, *SHAPE) uint8: the image of each class, the same for every seed, with noise of the seed."""
    prototypes = torch.from_numpy(np.random.default_rng(1).uniform(40, 215, (10, *SHAPE)))
    noisy = prototypes[classes] + torch.from_numpy(np.random.default_rng(seed).normal(0, noise, (len(classes), *SHAPE)))
    return noisy.clamp(0, 255).to(torch.uint8)


def rows(classes: Iterable[int], n: int, seed: int) -> Rows:
    """n samples of the classes in turn. Ids are scattered over all of int64, as hashed ones are."""
    targets = torch.tensor(list(classes)).repeat(n)[:n]
    ids = torch.from_numpy(np.random.default_rng([seed, 2]).integers(-(2**63), 2**63, n))
    return Rows(images(targets, seed), targets, ids)


@cache
def stream(setting: str, *, experiences: int = 3, train: int = 25, test: int = 40) -> tuple[list[Step], int]:
    """The experiences, and the number of output units."""
    if setting == "domain-incremental":
        steps = [
            Step(i, rows(range(3), train, 10 + i), rows(range(3), test, 50 + i), (0, 1, 2)) for i in range(experiences)
        ]
        return [_permuted(step) for step in steps], 3
    steps = []
    for i in range(experiences):
        classes = (2 * i, 2 * i + 1)
        outputs = classes if setting == "task-incremental" else None
        steps.append(Step(i, rows(classes, train, 10 + i), rows(classes, test, 50 + i), classes, outputs))
    return steps, 2 * experiences


@cache
def column_stream(setting: str, kind: str) -> tuple[list[Step], int]:
    """The experiences of `stream` with two columns of targets, and the number of output units.

    In a task-incremental stream each experience has units of its own for them.

    Args:
        kind: numbers, of very different units, or labels (`strategies.objectives.objective.TargetKind`).
    """
    steps, _ = stream("domain-incremental")
    per_task = setting == "task-incremental"
    made = []
    for step in steps:
        outputs = (2 * step.index, 2 * step.index + 1) if per_task else None
        made.append(replace(step, train=_columns(step.train, kind), test=_columns(step.test, kind), outputs=outputs))
    return made, 2 * len(steps) if per_task else 2


VOCABULARY, LENGTH = 7, 5


@cache
def token_stream() -> tuple[list[Step], int]:
    """Sequences of tokens: in each experience a token mostly follows another one, otherwise; some are padded."""
    steps = []
    for index in range(3):
        follows = np.random.default_rng(20 + index).permutation(VOCABULARY)
        parts = [_sequences(follows, n, 100 * index + n) for n in (25, 40)]
        steps.append(Step(index, parts[0], parts[1], ()))
    return steps, VOCABULARY


def _sequences(follows: np.ndarray[tuple[int], np.dtype[np.int64]], n: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    tokens = np.empty((n, LENGTH + 1), dtype=np.int32)
    tokens[:, 0] = random.integers(VOCABULARY, size=n)
    for place in range(LENGTH):
        noise = random.random(n) < 0.2
        tokens[:, place + 1] = np.where(noise, random.integers(VOCABULARY, size=n), follows[tokens[:, place]])
    inputs, targets = tokens[:, :-1].copy(), tokens[:, 1:].copy()
    behind = np.arange(LENGTH) >= random.integers(2, LENGTH + 1, size=n)[:, None]
    inputs[behind] = targets[behind] = -1
    targets[::3, 0] = -1  # a prompt
    ids = torch.from_numpy(np.random.default_rng([seed, 3]).integers(-(2**63), 2**63, n))
    return Rows(torch.from_numpy(inputs), torch.from_numpy(targets), ids)


def _columns(part: Rows, kind: str) -> Rows:
    brightness = part.inputs.double().flatten(1).mean(1)
    if kind == "numbers":
        return replace(part, targets=torch.stack([1000 + 5 * brightness, 0.01 * part.targets], 1))
    return replace(part, targets=torch.stack([brightness > 127, part.targets > 1], 1).to(torch.uint8))


def _permuted(step: Step) -> Step:
    order = torch.from_numpy(np.random.default_rng(step.index).permutation(PIXELS))

    def permute(part: Rows) -> Rows:
        inputs = part.inputs.flatten(1)[:, order].view(part.inputs.shape)
        return replace(part, inputs=inputs, ids=step.index << 40 | torch.arange(len(part)))

    return replace(step, train=permute(step.train), test=permute(step.test))
