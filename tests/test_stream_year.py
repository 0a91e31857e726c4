"""The simulated year in a short form: faults, a killed step, a drift, and days of wrong labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.stream_year import Year, read_results, simulate, table, write_result


def test_twelve_days(tmp_path: Path) -> None:
    year = replace(
        Year.of(1, 12), events={2: "late", 3: "twice", 4: "torn"}, bad=range(7, 10), kills={5: 12}, drifts=(6,)
    )
    courses = simulate(year, tmp_path / "year", "update: {when: drift}")
    used, newest, first = courses["used"], courses["newest"], courses["first"]
    assert used.kills == 1 and used.wrong == used.bad == 0
    assert 1 <= used.trainings <= year.days and set(used.trained_on) - {0}
    # Days of wrong labels are learned, because they differ; what was learned from them is not used.
    assert min(used.accuracy[-2:]) > min(newest.accuracy[-2:])
    assert len(used.accuracy) == len(first.accuracy)
    lines = list(table([(year, (used, used, newest, first))]))
    write_result(tmp_path / "results", year, (used, used, newest, first))
    (read, courses_read), *others = read_results(tmp_path / "results", year.days)
    assert not others and (read.seed, courses_read) == (year.seed, (used, used, newest, first))
    assert not read_results(tmp_path / "results", 365) and not read_results(tmp_path / "no results", 12)
    assert len(lines) == 8 and "1 seeds of 12 days" in lines[-2] and len(used.seconds) == year.days - used.kills
