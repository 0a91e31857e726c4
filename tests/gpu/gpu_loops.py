"""Bare training loops on a device, of images that lie in pageable, pinned or the device's own memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.models.build_model import build_model
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from tests.benchmarks.bare import model
from tests.benchmarks.steps import ENDLESS, Block, Step
from tests.strategies.cases import make_strategy

BATCH = 128
IMAGE = (3, 32, 32)


def resnet18(filters: int = 64) -> nn.Module:
    """ResNet-18 for images of 32 x 32 pixels: 11 million parameters."""
    return build_model("resnet18-slim", {"filters": filters}, IMAGE, 10, seed=0)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (model, (784,)),
    "resnet18": (resnet18, IMAGE),
}
"""What makes each network, and the shape of its inputs."""


class DeviceLoop:
    """Steps of a network with Adam, as anybody would write them.

    Attributes:
        net, optimizer: what learns.
    """

    def __init__(
        self,
        network: str,
        device: str,
        *,
        feed: str = "pinned",
        bf16: bool = False,
        channels_last: bool = False,
        n: int = 12_000,
        **optimizer: Any,
    ) -> None:
        """
        Args:
            feed: where the images are. pageable: in ordinary memory. pinned: each batch is copied into pinned memory,
                and from there while the device computes. resident: on the device.
            bf16: mixed precision.
            optimizer: options of Adam, beside its learning rate; default: `fused=True`.
        """
        make, shape = NETWORKS[network]
        self.net = make().to(device).train()
        if channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, **(optimizer or {"fused": True}))
        block = Block(n, 7, device if feed == "resident" else "cpu", shape)
        self._images, self._labels = block.inputs, block.targets
        self._order = torch.randperm(n, generator=torch.Generator().manual_seed(0)).to(block.inputs.device)
        self._device, self._feed = device, feed
        self._autocast = partial(torch.autocast, torch.device(device).type, torch.bfloat16, enabled=bf16)
        self._last = channels_last
        self._done = 0

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            at = self._done * BATCH % (len(self._order) - BATCH)
            self.step(self._order[at : at + BATCH])
            self._done += 1

    def step(self, index: Tensor) -> None:
        """One step on the images at the positions `index`."""
        inputs = self._moved(self._images[index]).float().div_(255.0)
        targets = self._moved(self._labels[index])
        if self._last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            output = self.net(inputs)
        F.cross_entropy(output.float(), targets).backward()
        self.optimizer.step()

    def _moved(self, batch: Tensor) -> Tensor:
        if self._feed == "pinned" and self._device == "cuda":
            return batch.pin_memory().to(self._device, non_blocking=True)
        return batch.to(self._device)


def our_loop(
    network: str,
    device: str,
    strategy: str = "naive",
    *,
    feed: str = "pinned",
    channels_last: bool = False,
    n: int = 12_000,
    **train: Any,
) -> Callable[[int], None]:
    """Takes steps of the second experience with one of our strategies. `train`: settings beside length and batch."""
    make, shape = NETWORKS[network]
    options = {"ewc": {"samples": 64}, "mas": {"samples": 64}}.get(strategy, {})
    learner = Learner(
        make(), [make_strategy(strategy, options)], outputs=10, device=device, channels_last=channels_last
    )
    settings = partial(TrainSettings, epochs=None, batch_size=BATCH, **train)
    where = device if feed == "resident" else "cpu"
    first = Step(0, min(n, 2000), "cpu", shape)
    learner.learn(first, settings(steps=1))
    steps = learner.steps(Step(1, n, where, shape), settings(steps=ENDLESS), past=[first])
    return partial(take, steps)


def take(steps: Iterator[int], number: int) -> None:
    """So many steps."""
    for _ in range(number):
        next(steps)
