"""Cost of a training step under each strategy, against a bare PyTorch loop with the same passes on the same tensors.

MLP 784-400-400-10 (or the `cnn` of pipelines) and a batch of 128, where a name says no other, Adam, one thread.
`tests.benchmarks.bare` says what the bare loops do. The experience has begun on both sides: steps alone are timed, in
short turns. `python -m tests.benchmarks.steps [NAME]...`
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from strategies.importance.fisher import diagonal_fisher
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.registry import BUILT_IN
from tests.benchmarks.bare import Bare, Passes, convolutional, model
from tests.benchmarks.pairs import Ratio, compare
from tests.strategies.cases import make_strategy

STEPS, ROUNDS = 10, 11
ENDLESS = 1_000_000


class Block:
    """Samples in memory: random uint8 images."""

    def __init__(self, n: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randint(0, 256, (n, 784), dtype=torch.uint8, generator=generator)
        self.targets = torch.randint(0, 10, (n,), generator=generator)
        self.ids = torch.arange(n) + seed * 1_000_000

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]

    def batches(self, indices: Sequence[Tensor]):  # type: ignore[no-untyped-def]
        return (self.take(index) for index in indices)


class Step:
    """An experience of random images."""

    def __init__(self, index: int, n: int = 12_000) -> None:
        self.index = self.task = index
        self.classes, self.outputs = tuple(range(10)), None
        self.train = Block(n, index)
        self.test = Block(1000, 500 + index)


@dataclass(frozen=True)
class Method:
    """A strategy as it is measured.

    Attributes:
        name: in the registry.
        options: of it.
        passes: of its step, for the bare loop.
        after: experiences that it has behind it.
        structure: the bare loop runs the model that the strategy has made.
        network: makes the model.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    passes: Passes = field(default_factory=Passes)
    after: int = 1
    structure: bool = False
    network: Callable[[], nn.Module] = model


METHODS = {
    "naive": Method("naive"),
    "cumulative": Method("cumulative"),
    "ewc after 1": Method("ewc", {"samples": 64}),
    "ewc after 50": Method("ewc", {"samples": 64}, after=50),
    "si": Method("si"),
    "mas": Method("mas", {"samples": 64}),
    "lwf": Method("lwf", passes=Passes(teacher=True)),
    "replay 0.2": Method("replay", {"ratio": 0.2}, Passes(replayed=32)),
    "replay 0.5": Method("replay", passes=Passes(replayed=128)),
    "der": Method("der", passes=Passes(replayed=256)),
    "gem": Method("gem", {"samples": 128}, Passes(references=(128, 128)), after=2),
    "agem": Method("agem", {"samples": 128}, Passes(references=(128,))),
    "icarl": Method("icarl", passes=Passes(teacher=True)),
    "gdumb": Method("gdumb"),
    "generative-replay": Method("generative-replay", passes=Passes(generated=128)),
    "dann": Method("dann", passes=Passes(replayed=128, discriminator=True)),
    "packnet": Method("packnet", structure=True),
    "progressive": Method("progressive", structure=True),
    "expand": Method("expand", structure=True),
    "si, batch 256": Method("si", passes=Passes(256)),
    "gem, batch 256": Method("gem", {"samples": 256}, Passes(256, references=(256, 256)), after=2),
    "si, cnn": Method("si", structure=True, network=convolutional),
    "gem, cnn": Method("gem", {"samples": 128}, Passes(references=(128, 128)), 2, True, convolutional),
}
"""Every registered strategy, by what is printed; the dearest two with twice the batch and on a second network, too."""


def begun(method: Method) -> tuple[Learner, Iterator[int]]:
    """A learner in the middle of an experience, and its steps."""
    learner = Learner(method.network(), [make_strategy(method.name, method.options)], outputs=10)
    past = [Step(index, 2000) for index in range(method.after)]
    batch = method.passes.batch
    for step in past:
        learner.learn(step, TrainSettings(epochs=None, steps=1, batch_size=batch), past=past[: step.index])
    steps = learner.steps(Step(method.after), TrainSettings(epochs=None, steps=ENDLESS, batch_size=batch), past=past)
    next(steps)
    return learner, steps


def measured(method: Method) -> Ratio:
    """Seconds of `STEPS` steps, ours and bare."""
    learner, steps = begun(method)
    block = Block(12_000, 100)
    bare = Bare(block.inputs, block.targets, method.passes, learner.model if method.structure else None)

    def ours() -> None:
        for _ in range(STEPS):
            next(steps)

    return compare(ours, lambda: bare(STEPS), ROUNDS)


def measure(names: Sequence[str] = ()) -> Iterator[tuple[str, Ratio]]:
    """Names and ratios: of the named ones, or of all.

    Raises:
        KeyError: a registered strategy is not measured.
    """
    missing = BUILT_IN.keys() - {method.name for method in METHODS.values()}
    if missing:
        raise KeyError(f"METHODS in {__file__} lacks {', '.join(sorted(missing))}")
    for name in names or METHODS:
        yield name, measured(METHODS[name])


def fisher_seconds() -> float:
    """CPU seconds of the exact Fisher of 2000 samples (the best of five)."""
    net, inputs = model(), torch.rand(2000, 784)
    times = []
    for _ in range(5):
        start = time.process_time()
        diagonal_fisher(net, inputs)
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, value in measure(sys.argv[1:]):
        print(
            f"{name:18} {value.ratio:.3f} [{value.low:.3f} .. {value.high:.3f}]"
            f"  {value.ours / STEPS * 1e3:.2f} ms against {value.reference / STEPS * 1e3:.2f} ms a step",
            flush=True,
        )
