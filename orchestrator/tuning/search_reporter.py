"""Reporters of a search or a comparison: what shows its progress."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.tuning.search_result import CompareResult, TuneResult
    from orchestrator.tuning.trial_record import TrialRecord


@dataclass(frozen=True)
class SearchSummary:
    """What is known when a search or a comparison starts.

    Attributes:
        title: what is done, in one line.
        detail: how.
        trials: how many there will be.
        metrics: the objectives, the first of which is shown.
        modes: what is wanted of each: max or min.
        settings: the paths that are searched.
    """

    title: str
    detail: str
    trials: int
    metrics: tuple[str, ...]
    modes: tuple[str, ...]
    settings: tuple[str, ...]


class SearchReporter:
    """The silent reporter, and the base of the others. Use it as a context manager: a terminal is then left clean."""

    def start(self, summary: SearchSummary, records: Sequence[TrialRecord]) -> None:
        """The search begins; `records` are the trials of earlier invocations."""

    def trial(self, record: TrialRecord) -> None:
        """The record of a trial has changed."""

    def waiting(self, text: str) -> None:
        """What is waited for, before the first trial has ended."""

    def stage(self, text: str) -> None:
        """A stage begins that is not a trial, such as training the best settings."""

    def warning(self, text: str) -> None:
        """A warning to show."""

    def finish(self, result: TuneResult | CompareResult) -> None:
        """The search or the comparison has finished."""

    def close(self) -> None:
        """Leave the terminal as it was; also after a failure. Closing twice does no harm."""

    def __enter__(self) -> SearchReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
