"""Evaluation of a model on test sets: one pass, shared by the ranks, and its counts and scores.

Counts are whole numbers, summed over the ranks, and scores are computed from what was gathered for each sample, in the
order of the test set: the number of ranks does not change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from strategies.api.data import in_chunks
from strategies.api.strategy import Strategy
from strategies.loop.gathered_scores import Gathered
from strategies.loop.process_group import Reduction

if TYPE_CHECKING:
    from strategies.api.data import Experience
    from strategies.loop.learner import Learner

EVALUATION_BATCH = 1000
BINS = 15
"""Number of bins of the confidence, equally wide (Guo et al. 2017, section 4.1)."""
MOST_UNITS = 256
"""A head with more units than this gets no confusion matrix."""
# Confidences are summed as whole multiples of it: such sums do not depend on the order of the terms.
_UNIT = 2.0**-30


@dataclass(frozen=True)
class Count:
    """Correct answers among `total` test samples, None where samples are not right or wrong; further scores by name."""

    correct: int | None
    total: int
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of one pass over the test sets.

    Attributes:
        counts: of each test set, with the scores that the learner records.
        right: by experience, (n,) bool: which samples of its test set were classified correctly. Only for `seen`
            experiences, as are the fields below, which are over all of these experiences together.
        classes: (units, 2) int64: correctly classified samples and all samples, by their target.
        confusion: (units, units) int64: samples by their target (row) and the predicted unit (column);
            None for more than `MOST_UNITS` units.
        calibration: for each of `BINS` bins of the confidence, (k/15, (k+1)/15], its samples, the correctly classified
            ones, and the sum of their confidences; None where scores are not logits (see `Strategy.predicts_logits`).
        scores: by name, of the `seen` test sets taken together.
    """

    counts: list[Count]
    right: Mapping[int, Tensor] = field(default_factory=dict)
    classes: Tensor | None = None
    confusion: Tensor | None = None
    calibration: list[tuple[int, int, float]] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@torch.inference_mode()
def evaluate(learner: Learner, experiences: Sequence[Experience], seen: int = 0) -> Evaluation:
    """The learner's model on the experiences' test sets; the same on every rank.

    Args:
        seen: the model has learned the experiences with a smaller index.
    """
    tally = _Tally(learner, experiences, seen)
    with learner.evaluating():
        for row, experience in enumerate(experiences):
            tally.count(row, experience)
    return tally.result()


class _Tally:
    def __init__(self, learner: Learner, experiences: Sequence[Experience], seen: int) -> None:
        self._learner = learner
        self._seen = [experience.index for experience in experiences if experience.index < seen]
        units, device = learner.outputs, learner.device
        self._one_class = learner.objective.targets == "classes"
        self._logits = self._one_class and all(
            type(strategy).predict is Strategy.predict or strategy.predicts_logits for strategy in learner.strategies
        )
        self._full = self._one_class and bool(self._seen) and units <= MOST_UNITS
        self._correct: list[Tensor] = []
        self._sizes: list[int] = []
        self._counted = [self._one_class] * len(experiences)
        self._classes = torch.zeros(units if self._one_class else 0, 2, dtype=torch.int64, device=device)
        self._confusion = torch.zeros(units * units if self._full else 0, dtype=torch.int64, device=device)
        self._bins = torch.zeros(BINS, 3, dtype=torch.int64, device=device)
        self._right: dict[int, Tensor] = {}
        self._waiting: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._scores = Gathered(learner, logits=self._logits or not self._one_class)

    def count(self, row: int, experience: Experience) -> None:
        learner, test = self._learner, experience.test
        seen = experience.index in self._seen
        part = learner.group.share(len(test))
        # Where the task is inferred, all units are active.
        given = experience.outputs is not None and learner.task_labels(experience) != "inferred"
        units = learner.units(experience) if given else None
        right = torch.zeros(len(test), dtype=torch.uint8, device=learner.device)
        size, at = part.stop - part.start, part.start
        rows = learner.objective.rows_at_once(test, learner.outputs, EVALUATION_BATCH) if size else 1
        # Only a byte is kept of each sample: a test set may be larger than memory.
        for inputs, targets in test.batches(in_chunks(part, rows)):
            scores = learner.scores(learner.prepare(inputs), experience)
            self._scores.add(scores, targets, units)
            if not self._one_class:
                continue
            scores = scores if units is None else scores[:, units]
            top, answer = scores.max(1)
            answer = answer if units is None else units[answer]
            confidence = (top - scores.logsumexp(1)).exp() if seen and self._logits else top
            here = targets.to(learner.device)
            hits = answer == here
            right[at : at + len(hits)] = hits
            at += len(hits)
            if seen:
                self._waiting.append((here, answer, hits, confidence))
                # Small test sets are counted together.
                if sum(len(one[0]) for one in self._waiting) >= EVALUATION_BATCH:
                    self._detail()
        correct = right.sum()
        joined = self._scores.finish(experience, test, seen=seen)
        if joined is not None and not self._one_class:
            marks = learner.objective.right(*joined)
            self._counted[row] = marks is not None
            if marks is not None:
                right[part] = marks[part]
                correct = right.sum()
        self._correct.append(correct)
        self._sizes.append(size)
        if seen and self._counted[row]:
            self._right[experience.index] = right

    def _detail(self) -> None:
        """Count the test sets that were collected so far."""
        if not self._waiting:
            return
        targets, answers, hits, confidences = (torch.cat(column) for column in zip(*self._waiting, strict=True))
        self._waiting = []
        right = hits.long()
        ones = torch.ones_like(right)
        self._classes.index_add_(0, targets, torch.stack([right, ones], 1))
        if self._full:
            self._confusion.index_add_(0, targets * self._learner.outputs + answers, ones)
        if self._logits:
            # A model whose outputs are not finite has no confidence.
            confidences = confidences.double().nan_to_num(nan=0.0).clamp(0, 1)
            bins = ((confidences * BINS).ceil().long() - 1).clamp(0, BINS - 1)
            self._bins.index_add_(0, bins, torch.stack([ones, right, (confidences / _UNIT).round().long()], 1))

    def result(self) -> Evaluation:
        group = self._learner.group
        self._detail()
        right = list(self._right.values())
        found = torch.zeros(len(self._sizes), 2, dtype=torch.int64, device=self._learner.device)
        if self._sizes:
            found[:, 0], found[:, 1] = torch.stack(self._correct), torch.tensor(self._sizes)
        group.reduce_([found, self._classes, self._confusion, self._bins], Reduction.SUM)
        group.reduce_(right, Reduction.SUM)
        rows = zip(found.tolist(), self._counted, self._scores.rows, strict=True)
        counts = [Count(correct if counted else None, total, scores) for (correct, total), counted, scores in rows]
        if not self._seen:
            return Evaluation(counts)
        units = self._learner.outputs
        return Evaluation(
            counts,
            {index: bits.bool().cpu() for index, bits in self._right.items()},
            self._classes.cpu() if self._one_class else None,
            self._confusion.view(units, units).cpu() if self._full else None,
            [(n, hits, total * _UNIT) for n, hits, total in self._bins.tolist()] if self._logits else None,
            self._scores.joint(),
        )
