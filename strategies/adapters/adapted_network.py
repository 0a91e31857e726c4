"""A frozen model with an adapter and a head for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from strategies.adapters.adapted_linear import AdaptedLinear
from strategies.adapters.low_rank import (
    LowRankLinear,
    activate,
    adapt,
    adapters_by_rows,
    add_adapter,
    keep_statistics,
    restore_adapter,
)
from strategies.networks.output_layer import take_off
from strategies.networks.reinitialize import drawn
from strategies.networks.stored_structure import require, stored_count
from strategies.networks.task_network import TaskNetwork, stored_units


class AdaptedNetwork(TaskNetwork):
    """A frozen model whose linear layers have an adapter for each task, with a head for each task.

    Training on one task changes nothing that another task has learned. Predicting T tasks takes T forward passes.

    Attributes:
        body: the model without its head.
    """

    def __init__(
        self,
        model: nn.Module,
        head: str,
        targets: Sequence[str],
        alpha: float,
        kind: type[AdaptedLinear] = LowRankLinear,
    ) -> None:
        """
        Args:
            model: is changed: its head is taken off, and it is frozen.
            head: name of the layer that makes its output.
            targets: names of the layers that get adapters.
            alpha: as in `LowRankLinear`.
            kind: of adapters.
        """
        body, last = take_off(model, head)
        super().__init__(last.out_features)
        self.body = body
        adapt(body, targets, alpha, kind=kind)
        self._kind = kind
        self._head = partial(nn.Linear, last.in_features, bias=last.bias is not None, dtype=last.weight.dtype)

    def add_task(self, units: Sequence[int], experience: int, rank: int, seed: int) -> None:
        """Add a task with a new adapter and head; the others are frozen.

        Args:
            units: output units of the model, ascending.
            rank: of the adapter, or its width.
            seed: of its weights and the head's.
        """
        add_adapter(self.body, str(len(self.heads)), rank, seed)
        self.add_head(drawn(lambda: self._head(len(units)), seed), units, experience)

    def restore_tasks(self, state: Mapping[str, Tensor]) -> None:
        """Add the tasks of a stored state that this network lacks. Raises ValueError."""
        stored = {name.removeprefix("body."): tensor for name, tensor in state.items() if name.startswith("body.")}
        for task in range(len(self.heads), stored_count(state, "heads")):
            units = stored_units(state, task, self.outputs)
            with torch.device("meta"):
                head = self._head(len(units))
            require(state, f"heads.{task}.layer.", head)
            restore_adapter(self.body, str(task), stored)
            self.add_head(self._head(len(units)), units, task)

    def task_parts(self) -> dict[str, frozenset[str]]:
        """The names of the tensors of each task's adapter and head, as `adapter.<task>`."""
        names, parts = list(self.state_dict()), {}
        for task in range(len(self.heads)):
            marks = tuple(f".{part}.{task}." for part in self._kind.parts)
            own = (n for n in names if n.startswith(f"heads.{task}.") or any(mark in n for mark in marks))
            parts[f"adapter.{task}"] = frozenset(own)
        return parts

    def answers(self, inputs: Tensor, tasks: Sequence[int]) -> list[Tensor]:
        """See `TaskNetwork.answers`; a forward pass for each task."""
        found = []
        for task in tasks:
            activate(self.body, str(task))
            found.append(self.heads[task](self.body(inputs)))
        return found

    def answer_rows(self, inputs: Tensor, tasks: Tensor) -> Tensor:
        """See `TaskNetwork.answer_rows`; low-rank adapters of all tasks take one pass through the frozen model."""
        if self._kind is not LowRankLinear:
            return super().answer_rows(inputs, tasks)
        rows = {task: (tasks == task).nonzero().squeeze(1) for task in tasks.unique().tolist()}
        with adapters_by_rows(self.body, {str(task): own for task, own in rows.items()}):
            features = self.body(inputs)
        scores: Tensor = features.new_full((len(inputs), self.outputs), -torch.inf)
        for task, own in rows.items():
            scores[own] = self._spread(self.heads[task](features[own]), task, -torch.inf)
        return scores

    def train(self, mode: bool = True) -> AdaptedNetwork:
        """Training mode; layers with running statistics stay in evaluation mode, because the model is frozen."""
        super().train(mode)
        keep_statistics(self.body)
        return self
