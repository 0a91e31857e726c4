"""A frozen model with a soft prompt and a head for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from strategies.adapters.low_rank import freeze_but_head, keep_statistics
from strategies.adapters.soft_prompts import PromptedModel
from strategies.networks.output_layer import take_off
from strategies.networks.reinitialize import drawn
from strategies.networks.stored_structure import require, stored_count
from strategies.networks.task_network import TaskNetwork, stored_units


class PromptedNetwork(TaskNetwork):
    """A frozen model that reads, for each task, its prompt behind those of all earlier tasks, below a head of its own.

    Training on one task changes nothing that another task has learned. Predicting T tasks takes T forward passes.

    Attributes:
        body: the model without its head, with prompts.
    """

    def __init__(self, model: nn.Module, head: str, embedding: str, alpha: float = 1.0) -> None:
        """
        Args:
            model: is changed: its head is taken off, and it is frozen.
            head: name of the layer that makes its output.
            embedding, alpha: as in `PromptedModel`.
        """
        body, last = take_off(model, head)
        super().__init__(last.out_features)
        freeze_but_head(body, "")
        self.body = PromptedModel(body, embedding, alpha)
        self._head = partial(nn.Linear, last.in_features, bias=last.bias is not None, dtype=last.weight.dtype)

    def add_task(self, units: Sequence[int], experience: int, length: int, example: Tensor, seed: int) -> None:
        """Add a task with a new prompt and head; the others are frozen.

        Args:
            units: output units of the model, ascending.
            length, example: as in `PromptedModel.add_prompt`.
            seed: of the prompt and the head's weights.
        """
        self.body.add_prompt(str(len(self.heads)), length, example, seed)
        self.add_head(drawn(lambda: self._head(len(units)), seed), units, experience)

    def restore_tasks(self, state: Mapping[str, Tensor]) -> None:
        """Add the tasks of a stored state that this network lacks. Raises ValueError."""
        for task in range(len(self.heads), stored_count(state, "heads")):
            units = stored_units(state, task, self.outputs)
            with torch.device("meta"):
                head = self._head(len(units))
            require(state, f"heads.{task}.layer.", head)
            self.body.restore_prompt(str(task), state, "body.")
            self.add_head(self._head(len(units)), units, task)

    def task_parts(self) -> dict[str, frozenset[str]]:
        """The names of the tensors of each task's prompt and head, as `adapter.<task>`."""
        names = list(self.state_dict())
        return {
            f"adapter.{task}": frozenset(
                n for n in names if n.startswith(f"heads.{task}.") or n.endswith(f".prompts.{task}")
            )
            for task in range(len(self.heads))
        }

    def answers(self, inputs: Tensor, tasks: Sequence[int]) -> list[Tensor]:
        """See `TaskNetwork.answers`; a forward pass for each task."""
        found = []
        for task in tasks:
            self.body.prompts.active = tuple(str(number) for number in range(task + 1))
            found.append(self.heads[task](self.body(inputs)))
        return found

    def train(self, mode: bool = True) -> PromptedNetwork:
        """Training mode; layers with running statistics stay in evaluation mode, because the model is frozen."""
        super().train(mode)
        keep_statistics(self.body)
        return self
