"""The score matrix and the metrics of a growing chain of commits: each commit is processed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from orchestrator.lineage.accuracy_matrix import (
    Row,
    chain_scores,
    columns,
    filled,
    is_partial,
    sparse_values,
    values_of,
)
from strategies.metrics import RunningMetrics, Score, declare

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.measurements import ScoreRecord
    from strategies.metrics import Evidence


class Course:
    """The matrix and metrics of a chain so far. The cost of adding a commit depends only on the length of its row.

    Attributes:
        rows, baseline: as `accuracy_matrix` gives them.
        tests: fingerprints of the test sets that are its columns.
        scores: what the last commit was scored by; the first is what the matrix holds.
        partial: test sets are left out on purpose; the rows are sparse.
        summaries: after each commit, the metrics that follow from the matrix alone.
    """

    def __init__(self, tests: Sequence[str] | None = None) -> None:
        """
        Args:
            tests: fingerprints of the test sets, in the order of the stream; None: those of the last commit.
        """
        self._given = tests
        self._forget([] if tests is None else list(tests), chain_scores(()), partial=False)

    def _forget(self, tests: list[str], scores: tuple[ScoreRecord, ...], partial: bool) -> None:
        self.tests, self.scores, self.partial = tests, scores, partial
        self._running = RunningMetrics(scores[0], partial)
        for score in scores:
            # Whoever shows the metrics finds the unit of a score that is not built in.
            declare(Score(score.name, unit=score.unit, better=score.better))
        self._last: str | None = None
        self._untrained: dict[tuple[int, str], float | None] = {}
        self.rows: list[Row] = []
        self.baseline: Row = [None] * len(tests)
        self.summaries: list[dict[str, float | None]] = []

    def evidence(self, k: int) -> Evidence:
        """The evidence after commit k; NaN where it is not known."""
        return self._running.evidence(k)

    def follow(self, chain: Sequence[Commit]) -> Self:
        """Add the new commits of a chain, oldest first; a chain of another stream is added from its beginning."""
        tests = columns(chain) if self._given is None else list(self._given)
        known, scores, partial = len(self.rows), chain_scores(chain), is_partial(chain)
        if partial and self.partial and known and tests[: len(self.tests)] == self.tests:
            # Of such a chain, every commit brings the next column.
            further = list(enumerate(tests))[len(self.tests) :]
            self.baseline = [*self.baseline, *(self._untrained.get(one) for one in further)]
            self.tests = tests
        # An id determines all commits before it, but for the scores that were added to them later.
        if (
            scores != self.scores
            or partial != self.partial
            or tests != self.tests
            or (known and (len(chain) < known or chain[known - 1].id != self._last))
        ):
            self._forget(tests, scores, partial)
        for index in range(len(self.rows), len(chain)):
            self._take(chain[index], index)
        return self

    def _take(self, commit: Commit, index: int) -> None:
        score = self.scores[0].name
        one = sparse_values if self.partial else values_of
        row = one(commit.row, self.tests, score)
        if commit.baseline:
            self._untrained |= {(count.experience, count.test): count.value(score) for count in commit.baseline}
            self.baseline = filled(self.baseline, values_of(commit.baseline, self.tests, score))
        if index and commit.previous:
            self.rows[-1] = filled(self.rows[-1], one(commit.previous, self.tests, score))
        inside = index < len(self.tests)
        ahead = self.rows[-1][index] if index and inside and index < len(self.rows[-1]) else None
        untrained = self.baseline[index] if inside else None
        numbers = [math.nan if value is None else value for value in row[: index + 1]]
        # A model may be further than the test sets that are asked for.
        numbers += [math.nan] * (index + 1 - len(numbers))
        self.summaries.append(self._running.add(numbers, _number(ahead), _number(untrained)))
        self.rows.append(row)
        self._last = commit.id


def _number(value: float | None) -> float:
    return math.nan if value is None else value
