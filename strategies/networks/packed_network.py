"""One network whose weights are divided among tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from strategies.api.strategy_errors import StrategyError
from strategies.networks.output_layer import take_off
from strategies.networks.reinitialize import drawn
from strategies.networks.stored_structure import require, stored_count
from strategies.networks.task_network import TaskNetwork, stored_units
from strategies.networks.weight_ownership import MOST_TASKS, Owners


class PackedNetwork(TaskNetwork):
    """A model whose weights belong to the tasks that use them, with a head for each task.

    A task uses its own weights and those of its predecessors; weights of later tasks count as 0. While the newest task
    is learned, it also uses the weights that no task owns. From the second task on, all else (biases, parameters and
    running statistics of normalisation) is frozen.

    Attributes:
        body: the model without its head.
        owners: of the body's weights.
    """

    def __init__(self, model: nn.Module, head: str) -> None:
        """
        Args:
            model: is changed: its head is taken off.
            head: name of the layer that makes its output.
        """
        body, last = take_off(model, head)
        super().__init__(last.out_features)
        self.body = body
        self._head = partial(nn.Linear, last.in_features, bias=last.bias is not None, dtype=last.weight.dtype)
        self.owners = Owners(self.body)

    def add_task(self, units: Sequence[int], experience: int, seed: int) -> None:
        """Add a task, which owns only its head at first; biases and normalisation are frozen from now on.

        Args:
            units: output units of the model, ascending.
            seed: of the head's weights.

        Raises:
            StrategyError: there are too many tasks.
        """
        if len(self.heads) == MOST_TASKS:
            raise StrategyError(f"packnet shares a network among {MOST_TASKS} experiences at most: use progressive")
        self.add_head(drawn(lambda: self._head(len(units)), seed), units, experience)
        if len(self.heads) > 1:
            for name, parameter in self.body.named_parameters():
                if name not in self.owners.shapes:
                    parameter.requires_grad_(False)

    def restore_tasks(self, state: Mapping[str, Tensor]) -> None:
        """Add the tasks of a stored state that this network lacks. Raises ValueError."""
        count = stored_count(state, "heads")
        if count > MOST_TASKS:
            raise ValueError(f"it has {count} tasks, {MOST_TASKS} are possible")
        for task in range(len(self.heads), count):
            units = stored_units(state, task, self.outputs)
            with torch.device("meta"):
                head = self._head(len(units))
            require(state, f"heads.{task}.layer.", head)
            self.add_task(units, task, 0)

    def answers(self, inputs: Tensor, tasks: Sequence[int]) -> list[Tensor]:
        """See `TaskNetwork.answers`; a forward pass for each task."""
        return [self.heads[task](self._features(inputs, task)) for task in tasks]

    def weights(self) -> list[tuple[nn.Parameter, Tensor]]:
        """The weights with their owners, which are views."""
        return [(self.body.get_parameter(name), owner) for name, owner in self.owners.of().items()]

    @torch.no_grad()
    def prune(self, share: float) -> None:
        """Give the newest task the weights of each layer that no task owns, but set the `share` smallest to 0."""
        for weight, owner in self.weights():
            owned = owner.view(-1)
            free = (owned == 0).nonzero().squeeze(1)
            # The sort is stable, so that every rank prunes the same of several equal weights.
            order = free[weight.reshape(-1)[free].abs().argsort(stable=True)]
            owned[order[round(len(free) * share) :]] = len(self.heads)
            weight.masked_fill_(owner == 0, 0.0)

    def train(self, mode: bool = True) -> PackedNetwork:
        """Training mode; layers with running statistics stay in evaluation mode from the second task on."""
        super().train(mode)
        if len(self.heads) > 1:
            for layer in self.body.modules():
                if next(layer.buffers(recurse=False), None) is not None:
                    layer.train(False)
        return self

    def _features(self, inputs: Tensor, task: int) -> Tensor:
        if task == len(self.heads) - 1:
            features: Tensor = self.body(inputs)
            return features
        own = {
            name: torch.where((owner > 0) & (owner <= task + 1), self.body.get_parameter(name), 0.0)
            for name, owner in self.owners.of().items()
        }
        masked: Tensor = functional_call(self.body, own, (inputs,))
        return masked
