"""Cost of a training step under each strategy, against a bare PyTorch loop on the same tensors.

MLP 784-400-400-10, batch 128, Adam, one thread. The bare loop indexes the same uint8 tensors in a seeded order, scales
them, and does zero_grad, forward, backward and step. `python -m tests.benchmarks.steps`
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.contract import Experience
from strategies.ewc import EWC, EWCOptions
from strategies.fisher import diagonal_fisher
from strategies.learner import Learner
from strategies.naive import Naive
from strategies.replay import Replay, ReplayOptions
from strategies.settings import TrainSettings
from strategies.strategy import Strategy
from tests.benchmarks.pairs import Ratio, compare

STEPS, BATCH = 200, 128


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


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10))


def bare(block: Block, batch: int, steps: int = STEPS) -> None:
    """The loop that anybody would write."""
    net = model()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    order = torch.randperm(len(block), generator=torch.Generator().manual_seed(0))
    for step in range(steps):
        at = step * batch % (len(block) - batch)
        index = order[at : at + batch]
        inputs, targets = block.inputs[index].float().div_(255.0), block.targets[index]
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(inputs), targets)
        loss.backward()
        optimizer.step()


def learned(strategies: list[Strategy], experience: Experience, after: int = 0, steps: int = STEPS) -> None:
    """The same number of steps by the learner, after `after` earlier experiences."""
    learner = Learner(model(), strategies, outputs=10)
    for past in range(after):
        learner.learn(Step(past, 128), TrainSettings(epochs=None, steps=1, batch_size=BATCH))
    for _ in learner.steps(experience, TrainSettings(epochs=None, steps=steps, batch_size=BATCH)):
        pass


def prepared(strategy: Strategy, after: int) -> Learner:
    """A learner that has `after` experiences behind it."""
    learner = Learner(model(), [strategy], outputs=10)
    for past in range(after):
        learner.learn(Step(past, 2000), TrainSettings(epochs=None, steps=1, batch_size=BATCH))
    return learner


def go_on(learner: Learner, experience: Experience, steps: int = STEPS) -> None:
    for _ in learner.steps(experience, TrainSettings(epochs=None, steps=steps, batch_size=BATCH)):
        pass


def measure() -> dict[str, Ratio]:
    """Ratios by name."""
    block = Step(100)
    results = {"naive": compare(lambda: learned([Naive()], block), lambda: bare(block.train, BATCH))}
    for after in (1, 50):
        learner = prepared(EWC(EWCOptions(samples=64)), after)
        results[f"ewc after {after}"] = compare(lambda k=learner: go_on(k, block), lambda: bare(block.train, BATCH))
    for ratio, total in ((0.2, 160), (0.5, 256)):
        learner = prepared(Replay(ReplayOptions(capacity=2000, ratio=ratio)), 1)
        results[f"replay {ratio}"] = compare(lambda k=learner: go_on(k, block), lambda n=total: bare(block.train, n))
    return results


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
    for name, value in measure().items():
        print(
            f"{name:14} {value.ratio:.3f} [{value.low:.3f} .. {value.high:.3f}]"
            f"  {value.ours / STEPS * 1e3:.2f} ms against {value.reference / STEPS * 1e3:.2f} ms a step"
        )
    print(f"fisher         {fisher_seconds():.3f} s for 2000 samples")
