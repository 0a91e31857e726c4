"""The accuracy matrix and the metrics of a chain of commits that grows: each commit is looked at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from orchestrator.lineage.accuracy_matrix import accuracies, columns
from strategies.metrics.running_metrics import RunningMetrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.lineage.commit import Commit

Row = list[float | None]


class Course:
    """What a chain has come to. A commit that is added costs what its row costs, whatever came before.

    Attributes:
        rows, baseline: as `accuracy_matrix` gives them.
        summaries: after each commit, the metrics that follow from the matrix (`strategies.metrics.definitions.NAMES`).
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
        self._places = {test: place for place, test in enumerate(tests)}
        self._running = RunningMetrics()
        self._last: str | None = None
        self.rows: list[Row] = []
        self.baseline: Row = [None] * len(tests)
        self.summaries: list[dict[str, float | None]] = []

    @property
    def learned(self) -> NDArray[np.float64]:
        """R[j, j] of the experiences so far, NaN where it is not known."""
        return self._running.learned

    def follow(self, chain: Sequence[Commit]) -> Self:
        """Take what is new in a chain, oldest first; a chain of another stream is taken from its beginning."""
        tests = columns(chain) if self._given is None else list(self._given)
        known = len(self.rows)
        # An id stands for all of the commits before it.
        if tests != self._tests or (known and (len(chain) < known or chain[known - 1].id != self._last)):
            self._forget(tests)
        for index in range(len(self.rows), len(chain)):
            self._take(chain[index], index)
        return self

    def _take(self, commit: Commit, index: int) -> None:
        row = self._row(accuracies(commit.row))
        first = self._row(accuracies(commit.baseline))
        self.baseline = [new if old is None else old for old, new in zip(self.baseline, first, strict=True)]
        if index and commit.previous:
            later = self._row(accuracies(commit.previous))
            self.rows[-1] = [new if old is None else old for old, new in zip(self.rows[-1], later, strict=True)]
        inside = index < len(self._tests)
        ahead = self.rows[-1][index] if index and inside else None
        untrained = self.baseline[index] if inside else None
        numbers = [math.nan if value is None else value for value in row[: index + 1]]
        # A model may be further than the test sets that are asked for.
        numbers += [math.nan] * (index + 1 - len(numbers))
        self.summaries.append(self._running.add(numbers, _number(ahead), _number(untrained)))
        self.rows.append(row)
        self._last = commit.id

    def _row(self, found: dict[str, float | None]) -> Row:
        row: Row = [None] * len(self._tests)
        for test, value in found.items():
            if test in self._places:
                row[self._places[test]] = value
        return row


def _number(value: float | None) -> float:
    return math.nan if value is None else value
