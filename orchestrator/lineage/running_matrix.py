"""The accuracy matrix and the metrics of a growing chain of commits: each commit is processed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from orchestrator.lineage.accuracy_matrix import Row, accuracies, columns, filled
from strategies.metrics import RunningMetrics

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from strategies.metrics import Evidence


class Course:
    """The matrix and metrics of a chain so far. The cost of adding a commit depends only on the length of its row.

    Attributes:
        rows, baseline: as `accuracy_matrix` gives them.
        summaries: after each commit, the metrics that follow from the matrix alone.
    """

    def __init__(self, tests: Sequence[str] | None = None) -> None:
        """
        Args:
            tests: fingerprints of the test sets, in the order of the stream; None: those of the last commit.
        """
        self._given = tests
        self._forget([] if tests is None else list(tests))

    def _forget(self, tests: list[str]) -> None:
        self._tests = tests
        self._running = RunningMetrics()
        self._last: str | None = None
        self.rows: list[Row] = []
        self.baseline: Row = [None] * len(tests)
        self.summaries: list[dict[str, float | None]] = []

    def evidence(self, k: int) -> Evidence:
        """The evidence after commit k; NaN where it is not known."""
        return self._running.evidence(k)

    def follow(self, chain: Sequence[Commit]) -> Self:
        """Add the new commits of a chain, oldest first; a chain of another stream is added from its beginning."""
        tests = columns(chain) if self._given is None else list(self._given)
        known = len(self.rows)
        # An id determines all commits before it.
        if tests != self._tests or (known and (len(chain) < known or chain[known - 1].id != self._last)):
            self._forget(tests)
        for index in range(len(self.rows), len(chain)):
            self._take(chain[index], index)
        return self

    def _take(self, commit: Commit, index: int) -> None:
        row = accuracies(commit.row, self._tests)
        self.baseline = filled(self.baseline, accuracies(commit.baseline, self._tests))
        if index and commit.previous:
            self.rows[-1] = filled(self.rows[-1], accuracies(commit.previous, self._tests))
        inside = index < len(self._tests)
        ahead = self.rows[-1][index] if index and inside else None
        untrained = self.baseline[index] if inside else None
        numbers = [math.nan if value is None else value for value in row[: index + 1]]
        # A model may be further than the test sets that are asked for.
        numbers += [math.nan] * (index + 1 - len(numbers))
        self.summaries.append(self._running.add(numbers, _number(ahead), _number(untrained)))
        self.rows.append(row)
        self._last = commit.id


def _number(value: float | None) -> float:
    return math.nan if value is None else value
