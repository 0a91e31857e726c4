"""A network that grows a column for each task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from strategies.networks.lateral_connections import (
    Connected,
    Lateral,
    called,
    connect,
    connectable,
    connections,
    disconnected,
)
from strategies.networks.output_layer import take_off
from strategies.networks.reinitialize import drawn, learned_parameters, redrawn
from strategies.networks.stored_structure import require, stored_count
from strategies.networks.task_network import TaskNetwork, stored_units

_HEAD = "head"


class Columns(TaskNetwork):
    """Columns of one architecture, each with a head, connected from the earlier to the later.

    A column needs the activations of all columns before it, so that one pass through all columns gives the outputs of
    every task. All columns but the newest are frozen, and in evaluation mode.

    Attributes:
        columns: one for each task, oldest first; the first one is the model itself.
    """

    def __init__(self, model: nn.Module, head: str) -> None:
        """
        Args:
            model: is changed: its head is taken off.
            head: name of the layer that makes its output.
        """
        body, last = take_off(model, head)
        super().__init__(last.out_features)
        self.columns = nn.ModuleList()
        self._first: list[nn.Module] = [body]  # until it is the first column
        self._learned = learned_parameters(body)
        self._head = partial(nn.Linear, last.in_features, bias=last.bias is not None, dtype=last.weight.dtype)
        self._connections: list[dict[str, Connected]] = []

    def add_task(self, inputs: Tensor, units: Sequence[int], experience: int, seed: int, who: str) -> None:
        """A new column, whose weights are drawn from `seed`; the first is the model with its own weights.

        Args:
            inputs: a few inputs, as the model takes them.
            units: output units of the model, ascending.
            who: the strategy's name, for the error.

        Raises:
            StrategyError: the model cannot be copied or connected.
        """
        device = inputs.device
        body = self._body() if not self.columns else redrawn(self._body(), self._learned, seed, who).to(device)
        training = body.training
        with torch.no_grad():
            order = called(body.eval(), inputs, who)
        body.train(training)
        # The first layer has none, nor has anything in the first column.
        connected = [*order, _HEAD][1:] if self.columns else []
        head, laterals = drawn(lambda: self._parts(body, connected, len(units)), seed + 1)
        self._append(connect(body, laterals), head, units, experience)
        self.to(device)

    def restore_tasks(self, state: Mapping[str, Tensor]) -> None:
        """Add the tasks of a stored state that this network lacks. Raises ValueError."""
        count = stored_count(state, "columns")
        if count != stored_count(state, "heads"):
            raise ValueError("it has more columns than heads, or more heads")
        for task in range(len(self.columns), count):
            units = stored_units(state, task, self.outputs)
            body = self._body()
            places = {name: f"columns.{task}.{name}.".replace("..", ".") for name in connectable(body)}
            places[_HEAD] = f"heads.{task}.layer."
            connected = [name for name, place in places.items() if f"{place}lateral.scale" in state]
            with torch.device("meta"):
                head, laterals = self._parts(body, connected, len(units))
            column = connect(body, laterals)
            require(state, f"columns.{task}.", column)
            require(state, f"heads.{task}.layer.", head)
            for part in (head, *laterals.values()):
                part.to_empty(device="cpu")
            self._append(column, head, units, task)

    def answers(self, inputs: Tensor, tasks: Sequence[int]) -> list[Tensor]:
        """See `TaskNetwork.answers`; one pass through the columns up to the last of these tasks."""
        found: list[Tensor] = []
        try:
            for task in range(max(tasks) + 1):
                for name, place in self._connections[task].items():
                    if place.lateral is not None:
                        place.earlier = [_entered(column[name]) for column in self._connections[:task]]
                logits = self.heads[task](self.columns[task](inputs))
                if task in tasks:
                    found.append(logits)
        finally:
            for column in self._connections:
                for place in column.values():
                    place.earlier, place.entered = [], None
        return found

    def train(self, mode: bool = True) -> Columns:
        """Training mode, of the newest column alone."""
        super().train(mode)
        for frozen in (*self.columns[:-1], *self.heads[:-1]):
            frozen.train(False)
        return self

    def _body(self) -> nn.Module:
        """The model without its head: the model itself for the first column, later a fresh copy."""
        if not self.columns:
            return self._first.pop()
        body = disconnected(copy.deepcopy(self.columns[0]))
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(name in self._learned)
        return body

    def _parts(self, body: nn.Module, connected: Sequence[str], units: int) -> tuple[Connected, dict[str, Lateral]]:
        """A head, and the lateral connections of the body's layers.

        Args:
            connected: names of the layers that have one, `_HEAD` for the head.
        """
        layers = connectable(body)
        laterals = {name: Lateral(layers[name], len(self.columns)) for name in connected if name != _HEAD}
        last = self._head(units)
        return Connected(last, Lateral(last, len(self.columns)) if _HEAD in connected else None), laterals

    def _append(self, column: nn.Module, head: Connected, units: Sequence[int], experience: int) -> None:
        self.columns.requires_grad_(False)
        self.columns.append(column)
        self.add_head(head, units, experience)
        self._connections.append({**connections(column), _HEAD: head})


def _entered(place: Connected) -> Tensor:
    assert place.entered is not None
    return place.entered
