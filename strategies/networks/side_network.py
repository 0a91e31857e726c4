"""A network that a strategy trains beside the model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from strategies.loop.eager_optimizer import eager
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.loop.seeded_random import integer
from strategies.loop.train_settings import load_optimizer_state, optimizer_state

Network = TypeVar("Network", bound=nn.Module)


class SideNetwork(Generic[Network]):
    """A network with an Adam of its own (Kingma & Ba 2015), the same on every rank.

    As with the model, the loss of the global batch is a sum to which each rank contributes its part: `add_gradients`
    differentiates this rank's part, `step` adds up the ranks' gradients and steps. The network computes in the model's
    precision, but at least in single precision, and lives on its device.

    Its truth value is False until the network is made, or has state to be made from.
    """

    def __init__(self) -> None:
        self._network: Network | None = None
        self._optimizer: torch.optim.Adam | None = None
        self._state: dict[str, Tensor] = {}
        self._gradients: list[Tensor] = []

    def __bool__(self) -> bool:
        return self._network is not None or bool(self._state)

    def get(self, learner: Learner, make: Callable[[], Network], purpose: str, *address: int) -> Network:
        """The network; at the first call `make()`, or what was loaded.

        Args:
            make: builds it; its initial weights are torch's random ones.
            purpose, address: what these weights depend on, besides the run's seed (`strategies.loop.seeded_random`).
        """
        if self._network is None:
            with torch.random.fork_rng(devices=[]):
                # Not torch.manual_seed, which would seed the accelerators too, whose state fork_rng leaves alone here.
                torch.default_generator.manual_seed(integer(learner.seed, purpose, *address))
                network = make()
            precision = torch.promote_types(next(learner.model.parameters()).dtype, torch.float32)
            self._network = network.to(learner.device, precision)
            self._optimizer = eager(torch.optim.Adam)(self._network.parameters(), fused=True)
            self._take_over(self._network, self._optimizer)
        return self._network

    def add_gradients(self, loss: Tensor, inputs: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Add the gradients of this rank's part of the loss to those of the step.

        They do not become `grad` attributes before the step, so that hooks on the model's backward pass do not see
        them.

        Args:
            loss: this rank's part, 0-dim, with its graph.
            inputs: tensors in the graph.

        Returns:
            The gradients of the loss by `inputs`.
        """
        assert self._network is not None
        found = torch.autograd.grad(loss, [*inputs, *self._network.parameters()])
        own = list(found[len(inputs) :])
        if self._gradients:
            torch._foreach_add_(self._gradients, own)
        else:
            self._gradients = own
        return found[: len(inputs)]

    def step(self, learner: Learner, rate: float) -> None:
        """Take an optimiser step with the gradients that all ranks have added.

        Args:
            rate: learning rate.
        """
        assert self._network is not None
        assert self._optimizer is not None
        learner.group.reduce_(self._gradients, Reduction.SUM)
        for parameter, gradient in zip(self._network.parameters(), self._gradients, strict=True):
            parameter.grad = gradient
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._gradients = []

    def drop(self) -> None:
        """Drop the network: the next one begins anew."""
        self._network, self._optimizer, self._state, self._gradients = None, None, {}, []

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by `<prefix>.<parameter>`, the optimiser's by `adam.<parameter>/<slot>`."""
        if self._network is None or self._optimizer is None:
            return {_under(prefix, name): tensor for name, tensor in self._state.items()}
        names: dict[Tensor, str] = {parameter: name for name, parameter in self._network.named_parameters()}
        slots = optimizer_state(self._optimizer, names)
        return {f"{prefix}.{name}": tensor for name, tensor in self._network.state_dict().items()} | {
            f"adam.{name}": tensor for name, tensor in slots.items()
        }

    def load_state_dict(self, prefix: str, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` returned."""
        self.drop()
        for name, tensor in state.items():
            if name.startswith(f"{prefix}."):
                self._state[name.removeprefix(f"{prefix}.")] = tensor
            elif name.startswith("adam."):
                self._state[name] = tensor

    def _take_over(self, network: Network, optimizer: torch.optim.Adam) -> None:
        slots = {n.removeprefix("adam."): t for n, t in self._state.items() if n.startswith("adam.")}
        weights = {n: t for n, t in self._state.items() if not n.startswith("adam.")}
        if weights:
            network.load_state_dict(weights)
            load_optimizer_state(optimizer, dict(network.named_parameters()), slots)
        self._state = {}


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers between these numbers of units, with rectified linear units between the layers."""
    layers: list[nn.Module] = []
    for entering, leaving in itertools.pairwise(sizes):
        layers += [nn.Linear(entering, leaving), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _under(prefix: str, name: str) -> str:
    return name if name.startswith("adam.") else f"{prefix}.{name}"
