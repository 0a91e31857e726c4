"""How much of a time budget is used up."""

import pytest

from orchestrator.tuning.time_budget import covered_seconds
from orchestrator.tuning.trial_record import TrialRecord


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0),
        ([(1000, 3000)], 2),
        ([(1000, 3000), (5000, 6000)], 3),
        ([(1000, 3000), (2000, 4000)], 3),
        ([(1000, 9000), (2000, 3000)], 8),
        ([(5000, 6000), (1000, 3000), (1000, 3000)], 3),
        ([(1000, None), (None, None), (2000, 3000)], 1),
    ],
)
def test_seconds_in_which_at_least_one_trial_ran(spans: list[tuple[int | None, int | None]], expected: float) -> None:
    records = [TrialRecord(number=n, started=start, ended=end) for n, (start, end) in enumerate(spans)]
    assert covered_seconds(records) == expected
