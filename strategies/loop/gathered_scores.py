"""The scores of an evaluation, from values that are gathered for each sample in the order of the test set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from strategies.loop.process_group import Reduction

if TYPE_CHECKING:
    from strategies.api.data import Experience, Samples
    from strategies.loop.learner import Learner


class Gathered:
    """What the objective's `tally` gives for each sample of each test set, and the scores of it.

    Nothing is gathered, and nothing costs time, for a learner that records no score beside the accuracy.

    Attributes:
        rows: for each test set that was finished, its scores by name; scores that are not defined for it are left out.
    """

    def __init__(self, learner: Learner, *, logits: bool) -> None:
        """
        Args:
            logits: whether the values are probabilities of the model.
        """
        self._learner = learner
        self._scores = [one for one in learner.recorded if logits or not one.probabilities]
        self._needed = bool(self._scores) or learner.objective.targets != "classes"
        self._part: list[tuple[Tensor, Tensor]] = []
        self._seen: list[tuple[Tensor, Tensor]] = []
        self.rows: list[dict[str, float]] = []

    def add(self, output: Tensor, targets: Tensor, units: Tensor | None) -> None:
        """The next samples of this rank's share of a test set.

        Args:
            output: (n, outputs), of the model or a strategy's `predict`.
            units: the active output units; None: all.
        """
        if not self._needed:
            return
        if units is not None:
            output = torch.full_like(output, -torch.inf).index_copy_(1, units, output[:, units])
        values, truth = self._learner.objective.tally(output, targets.to(output.device))
        self._part.append((values.double(), truth.double()))

    def finish(self, experience: Experience, test: Samples, *, seen: bool) -> tuple[Tensor, Tensor] | None:
        """All ranks' values and truth of the test set, on the CPU; None where nothing was gathered.

        Args:
            test: the experience's test set.
            seen: it is one of those that are scored together, too.
        """
        if not self._needed or not len(test):
            self.rows.append({})
            return None
        learner = self._learner
        if not self._part:
            # A rank without samples learns the shapes from one sample.
            inputs, targets = test.take(torch.arange(1))
            self.add(learner.scores(learner.prepare(inputs), experience), targets, None)
            self._part = [(values[:0], truth[:0]) for values, truth in self._part]
        part = learner.group.share(len(test))
        whole = []
        for column in zip(*self._part, strict=True):
            own = torch.cat(column)
            gathered = own.new_zeros(len(test), *own.shape[1:])
            gathered[part] = own
            whole.append(gathered)
        self._part = []
        learner.group.reduce_(whole, Reduction.SUM)
        values, truth = (tensor.cpu() for tensor in whole)
        if seen:
            self._seen.append((values, truth))
        self.rows.append(self._of(values, truth))
        return values, truth

    def joint(self) -> dict[str, float]:
        """The scores of the seen test sets taken together."""
        if not self._seen or not self._scores:
            return {}
        if len(self._seen) == 1:
            return self._of(*self._seen[0])
        values, truth = (torch.cat(column) for column in zip(*self._seen, strict=True))
        return self._of(values, truth)

    def _of(self, values: Tensor, truth: Tensor) -> dict[str, float]:
        found = {one.name: one.value(values.numpy(), truth.numpy()) for one in self._scores}
        return {name: value for name, value in found.items() if value is not None}
