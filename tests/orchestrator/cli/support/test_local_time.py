"""Times of commits in the local time zone."""

import time

import pytest

from orchestrator.cli.support.local_time import local_time


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("UTC", "2026-01-31 23:45"), ("Europe/Berlin", "2026-02-01 00:45"), ("America/New_York", "2026-01-31 18:45")],
)
def test_a_time_in_utc_is_that_of_this_machine_to_the_minute(
    zone: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert local_time("2026-01-31T23:45:59+00:00") == expected
    finally:
        monkeypatch.undo()
        time.tzset()
