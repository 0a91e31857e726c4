"""The silent reporter, the base of the others."""

import pytest

from orchestrator.tuning.search_reporter import SearchReporter, SearchSummary
from orchestrator.tuning.search_result import CompareResult
from orchestrator.tuning.trial_record import TrialRecord


class Closes(SearchReporter):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_it_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with SearchReporter() as reporter:
        reporter.start(SearchSummary("t", "d", 1, ("forgetting",), ("min",), ()), [])
        reporter.trial(TrialRecord(number=0))
        reporter.stage("s")
        reporter.warning("w")
        reporter.finish(CompareResult([], 0, 0, 0.0, {}))
    assert capfd.readouterr() == ("", "")


def test_a_terminal_is_left_clean_also_after_a_failure() -> None:
    reporter = Closes()
    with pytest.raises(ZeroDivisionError), reporter:
        raise ZeroDivisionError
    assert reporter.closed == 1
