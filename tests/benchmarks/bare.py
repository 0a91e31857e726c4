"""The loop that anybody would write around a method's forward and backward passes, in plain PyTorch."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.models.build_model import build_model

OUTPUTS, LATENT = 10, 100


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, OUTPUTS))


def convolutional() -> nn.Module:
    """The `cnn` of pipelines, on flat images of 28 x 28 pixels."""
    return nn.Sequential(nn.Unflatten(1, (1, 28, 28)), build_model("cnn", {}, (1, 28, 28), OUTPUTS, seed=0))


@dataclass(frozen=True)
class Passes:
    """What a step of a method computes, beside the forward and backward pass of the current batch.

    Attributes:
        batch: samples in it.
        replayed: samples of a memory that pass together with the batch.
        generated: samples of the past that a decoder makes and the previous model labels, in a batch with the current
            ones; a VAE takes a step on all of them.
        teacher: the previous model's forward pass on the batch.
        references: samples of a memory that pass forward and backward by themselves, in so many groups.
        discriminator: a network of 100 hidden units takes a step on what enters the head.
    """

    batch: int = 128
    replayed: int = 0
    generated: int = 0
    teacher: bool = False
    references: tuple[int, ...] = ()
    discriminator: bool = False


class Bare:
    """Steps with the passes of a method and the optimisers' steps, and nothing else.

    Batches are indexed from uint8 tensors in a seeded order, and scaled.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        passes: Passes,
        net: nn.Module | None = None,
        *,
        device: str = "cpu",
        **optimizer: Any,
    ) -> None:
        """
        Args:
            inputs: (n, 784) uint8. targets: (n,) int64.
            net: what the method has made of the model, where it changes its structure.
            device: where the model is; a batch is copied to a GPU from pinned memory, unless it is there already.
            optimizer: options of Adam, beside its learning rate; default: `fused=True`.
        """
        adam = partial(torch.optim.Adam, lr=1e-3, **(optimizer or {"fused": True}))
        self.device = device
        self.inputs, self.targets, self.passes = inputs, targets, passes
        self.memory = inputs[:2000].clone(), targets[:2000].clone()
        self.net = (model() if net is None else copy.deepcopy(net)).to(device).train()
        self.optimizer = adam([p for p in self.net.parameters() if p.requires_grad])
        self.previous = copy.deepcopy(self.net).requires_grad_(False) if passes.teacher or passes.generated else None
        self.encoder = _perceptron(784, 400, 400, 2 * LATENT).to(device)
        self.decoder = _perceptron(LATENT, 400, 400, 784).to(device)
        self.vae_optimizer = adam([*self.encoder.parameters(), *self.decoder.parameters()])
        self.previous_decoder = copy.deepcopy(self.decoder).requires_grad_(False)
        self.entering: tuple[Tensor, ...] = ()
        if passes.discriminator:
            linear = [layer for layer in self.net.modules() if isinstance(layer, nn.Linear)]
            linear[-1].register_forward_pre_hook(self._keep)
            self.discriminator = _perceptron(linear[-1].in_features, 100, 2).to(device)
            self.discriminator_optimizer = adam(self.discriminator.parameters())
        self.order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
        self.done = 0

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            self._step()
            self.done += 1

    def _step(self) -> None:
        passes = self.passes
        at = self.done * passes.batch % (len(self.inputs) - passes.batch)
        index = self.order[at : at + passes.batch]
        inputs, targets = self._moved(self.inputs[index]).float().div_(255.0), self._moved(self.targets[index])
        if passes.replayed:
            more, labels = self._remembered(passes.replayed)
            inputs, targets = torch.cat([inputs, more]), torch.cat([targets, labels])
        if passes.generated:
            with torch.no_grad():
                more = self.previous_decoder(torch.randn(passes.generated, LATENT, device=self.device)).sigmoid()
                labels = self._past(more).argmax(1)
            inputs, targets = torch.cat([inputs, more]), torch.cat([targets, labels])
            self._train_vae(inputs)
        self.optimizer.zero_grad(set_to_none=True)
        output = self.net(inputs)
        loss = F.cross_entropy(output, targets)
        if passes.teacher:
            with torch.no_grad():
                told = self._past(inputs)
            loss = loss + F.cross_entropy(output, told.softmax(1))
        if passes.discriminator:
            self.discriminator_optimizer.zero_grad(set_to_none=True)
            domains = (torch.arange(len(inputs), device=self.device) < passes.batch).long()
            loss = loss + F.cross_entropy(self.discriminator(self.entering[0]), domains)
        loss.backward()
        for n in passes.references:
            more, labels = self._remembered(n)
            torch.autograd.grad(F.cross_entropy(self.net(more), labels), list(self.net.parameters()))
        self.optimizer.step()
        if passes.discriminator:
            self.discriminator_optimizer.step()

    def _keep(self, _: nn.Module, entering: tuple[Tensor, ...]) -> None:
        self.entering = entering

    def _remembered(self, n: int) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(self.memory[0]), (n,))
        return self._moved(self.memory[0][index]).float().div_(255.0), self._moved(self.memory[1][index])

    def _past(self, inputs: Tensor) -> Tensor:
        assert self.previous is not None
        output: Tensor = self.previous(inputs)
        return output

    def _moved(self, batch: Tensor) -> Tensor:
        if self.device == "cpu" or batch.device.type != "cpu":
            return batch
        return batch.pin_memory().to(self.device, non_blocking=True)

    def _train_vae(self, inputs: Tensor) -> None:
        self.vae_optimizer.zero_grad(set_to_none=True)
        mean, log_variance = self.encoder(inputs).chunk(2, dim=1)
        decoded = self.decoder(mean + (log_variance / 2).exp() * torch.randn(len(inputs), LATENT, device=self.device))
        surprise = F.binary_cross_entropy_with_logits(decoded, inputs, reduction="sum")
        divergence = (mean.square() + log_variance.exp() - log_variance - 1).sum() / 2
        ((surprise + divergence) / len(inputs)).backward()
        self.vae_optimizer.step()


def _perceptron(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for entering, leaving in itertools.pairwise(sizes):
        layers += [nn.Linear(entering, leaving), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
