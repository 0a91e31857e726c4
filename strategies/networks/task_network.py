"""A network with outputs for each task it has learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# Gap between the scores of the inferred task's units and all others: exp(-50) is negligible.
APART = 50.0


class TaskHead(nn.Module):
    """The units of one task.

    Attributes:
        layer: from features to logits, (n, ..., d) to (n, units).
        units: (units,) int64, ascending: which of the model's output units they are.
        experience: 0-dim int64: the experience in which it was learned.
    """

    units: Tensor
    experience: Tensor

    def __init__(self, layer: nn.Module, units: Tensor, experience: int) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("units", units.clone())
        self.register_buffer("experience", torch.tensor(experience))

    def forward(self, features: Tensor) -> Tensor:
        """(n, ..., d) to (n, units)."""
        logits: Tensor = self.layer(features)
        return logits


class TaskNetwork(nn.Module, ABC):
    """A network that learns task after task, each with its own head, and keeps the outputs of earlier tasks.

    In training mode `forward` gives the newest task's logits, and 0 for the units of others. In evaluation mode it
    knows no task: each unit gets the output of the newest task that has it, or, with `infer`, the task is inferred.
    Units that no task has learned are at -inf.

    Attributes:
        outputs: units that `forward` returns.
        infer: whether `forward` infers the task of each sample: the one whose logits have the lowest entropy.
        heads: one for each task, oldest first.
        chosen: (n,) or (1,) int64, the position of the task that `forward` answers for in evaluation mode, for each row
            of its input or for all; None: it knows no task.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.infer = False
        self.chosen: Tensor | None = None
        self.heads = nn.ModuleList()
        self._own_units: list[list[int]] = []

    def add_head(self, layer: nn.Module, units: Sequence[int], experience: int) -> None:
        """Add a head for a further task; the other heads are frozen.

        Args:
            layer: as in `TaskHead`.
            units: ascending.
        """
        self.heads.requires_grad_(False)
        self.heads.append(TaskHead(layer, torch.tensor(units), experience))
        self._own_units.append(list(units))

    @abstractmethod
    def answers(self, inputs: Tensor, tasks: Sequence[int]) -> list[Tensor]:
        """The logits of these tasks, ascending positions in `heads`, on their own units: each (n, units)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *shape) to (n, outputs)."""
        if self.training:
            newest = len(self.heads) - 1
            return self._spread(self.answers(inputs, [newest])[0], newest, 0.0)
        if self.chosen is not None:
            return self.answer_rows(inputs, self.chosen.expand(len(inputs)))
        if self.infer:
            return self._inferred(self.answers(inputs, range(len(self.heads))))
        tasks = self._needed()
        scores = None
        for task, logits in zip(tasks, self.answers(inputs, tasks), strict=True):
            scores = self._spread(logits, task, -torch.inf) if scores is None else self._placed(scores, logits, task)
        assert scores is not None
        return scores

    def answer(self, inputs: Tensor, task: int) -> Tensor:
        """(n, outputs): the logits of the task at position `task` on its units, -inf elsewhere."""
        return self._spread(self.answers(inputs, [task])[0], task, -torch.inf)

    def answer_rows(self, inputs: Tensor, tasks: Tensor) -> Tensor:
        """(n, outputs): for each row the logits of its task on that task's units, -inf elsewhere.

        Args:
            tasks: (n,) int64: positions in `heads`.
        """
        scores: Tensor | None = None
        for task in tasks.unique().tolist():
            rows = (tasks == task).nonzero().squeeze(1)
            own = self.answer(inputs[rows], task)
            scores = own.new_full((len(inputs), self.outputs), -torch.inf) if scores is None else scores
            scores[rows] = own
        return self.answer(inputs, 0) if scores is None else scores

    @contextmanager
    def answering_for(self, experiences: Sequence[int]) -> Iterator[None]:
        """Let `forward` answer for the tasks of experiences that were learned, for the time of the block.

        Args:
            experiences: for each row of the input, or one for all.

        Raises:
            ValueError: one was not learned.
        """
        positions = {experience: self.position(experience) for experience in set(experiences)}
        if None in positions.values():
            raise ValueError(f"not all of the experiences {sorted(positions)} were learned")
        self.chosen = torch.tensor([positions[experience] for experience in experiences])
        try:
            yield
        finally:
            self.chosen = None

    def head(self, task: int) -> TaskHead:
        """The head at a position, -1 for the newest."""
        found = self.heads[task]
        assert isinstance(found, TaskHead)
        return found

    def position(self, experience: int) -> int | None:
        """Position of the task of an experience among the heads; None when it was not learned."""
        return next((k for k in range(len(self.heads)) if int(self.head(k).experience) == experience), None)

    def places(self) -> Tensor:
        """(outputs,) int64: position of a unit among those of the newest task; -1 for units that it does not have."""
        units = self.head(-1).units
        places = torch.full((self.outputs,), -1, device=units.device)
        places[units] = torch.arange(len(units), device=units.device)
        return places

    def _inferred(self, answers: Sequence[Tensor]) -> Tensor:
        """Log probabilities within each task; those of all tasks but the inferred one are lower by `APART`.

        The order within a task stays, so that a caller that knows the task can still use its units alone.
        """
        log_p = [logits.float().log_softmax(1) for logits in answers]
        chosen = torch.stack([-(values.exp() * values).sum(1) for values in log_p]).argmin(0)
        scores = self._spread(log_p[0] - APART, 0, -torch.inf)
        for task, values in enumerate(log_p[1:], 1):
            scores = self._placed(scores, values - APART, task)
        for task, values in enumerate(log_p):
            others = scores.index_select(1, self._units(task))
            scores = self._placed(scores, torch.where((chosen == task)[:, None], values, others), task)
        return scores

    def _spread(self, logits: Tensor, task: int, elsewhere: float) -> Tensor:
        return self._placed(logits.new_full((logits.shape[0], self.outputs), elsewhere), logits, task)

    def _placed(self, scores: Tensor, logits: Tensor, task: int) -> Tensor:
        return scores.index_copy(1, self._units(task), logits)

    def _units(self, task: int) -> Tensor:
        return self.head(task).units

    def _needed(self) -> list[int]:
        """The tasks that have a unit which no newer task has."""
        newest: dict[int, int] = {}
        for task, own in enumerate(self._own_units):
            newest |= dict.fromkeys(own, task)
        return sorted(set(newest.values()))


def stored_units(state: Mapping[str, Tensor], task: int, outputs: int) -> list[int]:
    """The units of a task in a stored state of a `TaskNetwork`.

    Raises:
        ValueError: they are no units of the model.
    """
    stored = state.get(f"heads.{task}.units")
    if stored is None or stored.dtype != torch.int64 or stored.dim() != 1 or not 0 < len(stored) <= outputs:
        raise ValueError(f"the units of task {task} are missing or no list of units")
    units: list[int] = stored.tolist()
    if units != sorted(set(units)) or units[0] < 0 or units[-1] >= outputs:
        raise ValueError(f"the units of task {task} are not among the {outputs} of the model")
    return units
