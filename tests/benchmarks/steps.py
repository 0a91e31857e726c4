"""Cost of a training step under each strategy, against a bare PyTorch loop with the same passes on the same tensors.

MLP 784-400-400-10 (or the `cnn` of pipelines) and a batch of 128, where a name says no other, Adam, one thread.
`tests.benchmarks.bare` says what the bare loops do. The experience has begun on both sides: steps alone are timed, in
short turns. `python -m tests.benchmarks.steps [NAME]...`
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from strategies.importance.fisher import diagonal_fisher
from strategies.importance.per_sample_gradients import per_sample_moment
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.objectives.objective import Term
from strategies.registry import BUILT_IN
from tests.benchmarks.bare import Bare, Passes, convolutional, model
from tests.benchmarks.pairs import Ratio, settle
from tests.strategies.cases import make_strategy

ENDLESS = 1_000_000
STEPS = {"mlp": 5, "cnn": 2}
"""Steps of a turn: short ones fall on the same moment of a machine that others use, too."""
NETWORKS: dict[str, Callable[[], nn.Module]] = {"mlp": model, "cnn": convolutional}


class Block:
    """Samples in memory: random uint8 images."""

    def __init__(self, n: int, seed: int, device: str = "cpu", shape: tuple[int, ...] = (784,)) -> None:
        """
        Args:
            device: where inputs and targets are.
            shape: of an image.
        """
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator).to(device)
        self.targets = torch.randint(0, 10, (n,), generator=generator).to(device)
        self.ids = torch.arange(n) + seed * 1_000_000

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        index = index.to(self.inputs.device)
        return self.inputs.index_select(0, index), self.targets.index_select(0, index)  # as a pipeline's samples do

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        return (self.take(index) for index in indices)


class Step:
    """An experience of random images."""

    outputs: tuple[int, ...] | None = None
    classes = tuple(range(10))

    def __init__(self, index: int, n: int = 12_000, device: str = "cpu", shape: tuple[int, ...] = (784,)) -> None:
        self.index = self.task = index
        self.train = Block(n, index, device, shape)
        self.test = Block(1000, 500 + index, device, shape)


@dataclass(frozen=True)
class Method:
    """A strategy as it is measured.

    Attributes:
        name: in the registry.
        options: of it.
        passes: of its step, for the bare loop.
        after: experiences that it has behind it.
        structure: the bare loop runs the model that the strategy has made.
        target: most that a step may take, as a ratio to the bare loop's.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    passes: Passes = field(default_factory=Passes)
    after: int = 1
    structure: bool = False
    target: float = 1.10


METHODS = {
    "naive": Method("naive", target=1.02),
    "cumulative": Method("cumulative"),
    "ewc after 1": Method("ewc", {"samples": 64}),
    "ewc after 50": Method("ewc", {"samples": 64}, after=50),
    "si": Method("si", target=1.15),
    "mas": Method("mas", {"samples": 64}),
    "lwf": Method("lwf", passes=Passes(teacher=True)),
    "replay 0.2": Method("replay", {"ratio": 0.2}, Passes(replayed=32)),
    "replay 0.5": Method("replay", passes=Passes(replayed=128)),
    "der": Method("der", passes=Passes(replayed=256)),
    "gem": Method("gem", {"samples": 128}, Passes(references=(128, 128)), after=2, target=1.15),
    "agem": Method("agem", {"samples": 128}, Passes(references=(128,))),
    "icarl": Method("icarl", passes=Passes(teacher=True)),
    "gdumb": Method("gdumb"),
    "generative-replay": Method("generative-replay", passes=Passes(generated=128)),
    "dann": Method("dann", passes=Passes(replayed=128, discriminator=True)),
    "packnet": Method("packnet", structure=True, target=1.15),
    "progressive": Method("progressive", structure=True),
    "expand": Method("expand", structure=True),
    "lora": Method("lora", structure=True),
    "adapter": Method("adapter", structure=True),
    "prompt": Method("prompt", structure=True),
    "o-lora": Method("o-lora", structure=True),
    "experts": Method("experts", structure=True),
    "kl-to-base": Method("kl-to-base", passes=Passes(teacher=True)),
    "osf": Method("osf", structure=True, target=1.70),  # its projections are not among the bare loop's passes
    "merge": Method("merge"),
    "slda": Method("slda"),
}
"""Every registered strategy, by what is printed."""


def begun(
    method: Method, network: Callable[[], nn.Module], device: str = "cpu", n: int = 12_000, **more: Any
) -> tuple[Learner, Iterator[int]]:
    """A learner in the middle of an experience, and its steps.

    Args:
        n: samples of the experience.
        more: further train settings.
    """
    learner = Learner(network(), [make_strategy(method.name, method.options)], outputs=10, device=device)
    past = [Step(index, 2000) for index in range(method.after)]
    settings = partial(TrainSettings, epochs=None, batch_size=method.passes.batch, **more)
    for step in past:
        learner.learn(step, settings(steps=1), past=past[: step.index])
    steps = learner.steps(Step(method.after, n), settings(steps=ENDLESS), past=past)
    next(steps)
    return learner, steps


def bare_of(
    method: Method, learner: Learner, network: Callable[[], nn.Module], device: str = "cpu", **optimizer: Any
) -> Bare:
    """The bare loop of a method. `optimizer`: options of its Adam; default: `fused=True`."""
    block = Block(12_000, 100)
    net = learner.model if method.structure else network()
    return Bare(block.inputs, block.targets, method.passes, net, device=device, **optimizer)


def measured(method: Method, network: str = "mlp") -> list[Ratio]:
    """A step of ours against one of the bare loop with fused Adam, and with Adam as torch's tutorials make it."""
    learner, steps = begun(method, NETWORKS[network])
    bare = bare_of(method, learner, NETWORKS[network])
    tutorial = bare_of(method, learner, NETWORKS[network], fused=None)
    turn = STEPS[network]
    ours = partial(_take, steps, turn)
    return settle([ours, partial(bare, turn), partial(tutorial, turn)], spread=0.015, least=21, most=151)


def _take(steps: Iterator[int], number: int) -> None:
    for _ in range(number):
        next(steps)


def measure(names: Sequence[str] = (), networks: Sequence[str] = ("mlp", "cnn")) -> Iterator[tuple[str, list[Ratio]]]:
    """Names and ratios (see `measured`): of the named ones, or of all, on each network.

    Raises:
        KeyError: a registered strategy is not measured.
    """
    missing = BUILT_IN.keys() - {method.name for method in METHODS.values()}
    if missing:
        raise KeyError(f"METHODS in {__file__} lacks {', '.join(sorted(missing))}")
    for network in networks:
        for name in names or METHODS:
            yield f"{name}, {network}", measured(METHODS[name], network)


def fisher() -> Ratio:
    """The exact Fisher of 2000 samples against the sum over the ten labels that it equals."""
    net, inputs = model(), torch.rand(2000, 784)

    def label(number: int) -> Term:
        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            log_p = outputs.log_softmax(1)[:, number]
            return log_p, log_p.detach().exp()

        return term

    labels = [label(number) for number in range(10)]
    ours, reference = partial(diagonal_fisher, net, inputs), partial(per_sample_moment, net, inputs, labels)
    return settle([ours, reference], spread=0.015, least=21, most=101)[0]


def line(name: str, found: Sequence[Ratio], target: float) -> str:
    """A row of the table: against the fused loop, its certainty and target, and against the tutorial's loop."""
    fused, tutorial = found
    missed = " above its target" if fused.ratio > target + fused.ratio * fused.spread else ""
    return (
        f"  {name:24} {fused.ratio:.3f} ± {fused.ratio * fused.spread:.3f}  (target {target:.2f}{missed})   "
        f"{tutorial.ratio:.3f} ± {tutorial.ratio * tutorial.spread:.3f}"
    )


def main(names: Sequence[str] = ()) -> None:
    print("A training step against a bare loop with the same passes, fused Adam | Adam as in torch's tutorials")
    print("(batch 128, one thread, CPU time; ±: 95 % interval of the median)")
    for name, found in measure(names):
        print(line(name, found, METHODS[name.rpartition(",")[0]].target), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
